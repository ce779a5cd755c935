"""A signed graph read edge by edge, as its definition says: slow, and easy to follow."""


def signs_of_nodes(graph):
    """Return the sign of each node by its attribute and the edges that it sends, and what to drop.

    A node of both signs has that of the greater weight, and loses the edges of the other.
    """
    signs, dropped = {}, []
    for node in graph:
        said = {graph.nodes[node].get("sign")}
        total = 0.0
        for _, _, data in graph.out_edges(node, data=True):
            said.add(data.get("sign"))
            total += (data.get("sign") or 0) * abs(data["weight"])
        said.discard(None)
        if len(said) == 2:
            said = {1 if total >= 0 else -1}
            for pre, post, sign in graph.out_edges(node, data="sign"):
                if sign == -min(said):
                    dropped.append((pre, post))
        signs[node] = said.pop() if said else 1
    return signs, dropped


def signed_weights(graph):
    """Return the nodes, excitatory ones first, and the weight from each to each, ``(post, pre)``."""
    signs, dropped = signs_of_nodes(graph)
    nodes = sorted(graph, key=lambda node: -signs[node])
    rows = [[0.0] * len(nodes) for _ in nodes]
    for pre, post, data in graph.edges(data=True):
        if (pre, post) not in dropped:
            weight = signs[pre] * abs(data["weight"])
            rows[nodes.index(post)][nodes.index(pre)] = weight
    return nodes, rows


def reciprocities(graph):
    """Return the fractions of edges and of weight that come back, without self-loops."""
    weights = {
        (pre, post): abs(weight)
        for pre, post, weight in graph.edges(data="weight")
        if pre != post
    }
    back = [pair for pair in weights if pair[::-1] in weights]
    both = sum(min(weights[pair], weights[pair[::-1]]) for pair in back)
    return len(back) / len(weights), both / sum(weights.values())
