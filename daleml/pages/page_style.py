"""The style sheet of every page, which is written into it."""

STYLE = """
:root {
  color-scheme: light;
  --ink: #1c2530;
  --soft: #5c6875;
  --line: #dfe4ea;
  --wash: #f5f7f9;
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  max-width: 68rem;
  padding: 1.2rem;
  color: var(--ink);
  background: #fff;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0; }
h2 {
  font-size: 1.2rem;
  margin: 2.4rem 0 .4rem;
  padding-top: 1rem;
  border-top: 1px solid var(--line);
}
p, li { max-width: 46rem; }
.lead { font-size: 1.1rem; }
.facts {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr));
  gap: .8rem;
  padding: 0;
  margin: 1.4rem 0;
}
.facts li {
  list-style: none;
  background: var(--wash);
  border-radius: .5rem;
  padding: .8rem 1rem;
}
.facts b { display: block; font-size: clamp(1.1rem, 4.2vw, 1.5rem); overflow-wrap: anywhere; }
.facts span { color: var(--soft); font-size: .88rem; }
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1.2rem;
}
figure { margin: .6rem 0; max-width: 40rem; }
figure img { width: 100%; height: auto; display: block; }
figure.wide { max-width: none; grid-column: 1 / -1; overflow-x: auto; }
figure.wide img { min-width: 44rem; }
figcaption { color: var(--soft); font-size: .9rem; }
.scroll {
  overflow-x: auto;
  background: linear-gradient(#fff, #fff) right -2px top / 1.6rem 100% no-repeat local,
    linear-gradient(to right, transparent, #c8d0d8) right / 1.2rem 100% no-repeat scroll;
}
table {
  border-collapse: collapse;
  font-size: .9rem;
  margin: .8rem 0;
  font-variant-numeric: tabular-nums;
}
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 14rem; }
th:first-child, td:first-child {
  text-align: left;
  white-space: normal;
  position: sticky;
  left: 0;
  background: #fff;
}
th { color: var(--soft); font-weight: 600; vertical-align: bottom; min-width: 5.5em; }
th:first-child { min-width: 9em; }
code { background: var(--wash); padding: .1rem .3rem; border-radius: .25rem; font-size: .9em; }
footer {
  margin-top: 3rem;
  color: var(--soft);
  font-size: .88rem;
  border-top: 1px solid var(--line);
}
"""
