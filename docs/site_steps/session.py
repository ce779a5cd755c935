"""The plan of the session of 90 minutes: which slides it shows, in their order.

Each row is a tutorial, by its number, and the heading of one of its slides; or nothing, a heading
and a text. `docs/teaching.md` has the minutes.
"""

SESSION = (
    (
        "",
        "Dale's law in 90 minutes",
        "A neuron excites, or it inhibits. What does that mean for a network that learns?",
    ),
    ("01", "The law is about columns", ""),
    (
        "",
        "Before we compute",
        "A unit of an artificial network has weights of both signs. You take all that are"
        " negative, and set them to zero.\n\n1. What is lost?\n2. What happens at the next step"
        " of learning?",
    ),
    ("01", "Learning breaks the law", ""),
    ("01", "Two steps", ""),
    (
        "",
        "Exercise, 15 minutes",
        "Tutorial 01, exercise 1: how many neurons of the worm *C. elegans* keep the law? Work in"
        " pairs. Who is done takes exercise 2.",
    ),
    ("02", "All units of a naive E/I layer hear the same thing", ""),
    ("03", "A singular vector is the pattern that a weight stretches most", ""),
    ("02", "Dale's law need not cost performance", ""),
    (
        "",
        "What would you remember with?",
        "A vibration is felt, then nothing for a second, then another one: which was the faster?"
        " In which part of a circuit could the first one wait?\n\nDiscuss for three minutes, then"
        " vote: rates, or synapses?",
    ),
    ("04", "A memory in activity", ""),
    ("04", "A memory in synapses", ""),
    (
        "",
        "What to take home",
        "- The law is about columns: one sign per presynaptic unit.\n"
        "- Whatever keeps the law changes learning: a guard loses synapses, a product keeps"
        " them.\n"
        "- Splitting units into E and I gives one direction too much weight; inhibition by"
        " interneurons mends it.\n"
        "- A lawful circuit remembers, in activity or in synapses.",
    ),
)
