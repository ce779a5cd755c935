"""The style sheet of every page, which is written into it."""

STYLE = """
:root {
  color-scheme: light;
  --ink: #1c2530;
  --soft: #55616d;
  --line: #dfe4ea;
  --wash: #f5f7f9;
  --link: #1f5f99;
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  max-width: 66rem;
  padding: 1.2rem;
  color: var(--ink);
  background: #fff;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0; }
h2 {
  font-size: 1.25rem;
  margin: 2.4rem 0 .4rem;
  padding-top: 1rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; }
p, li, dl { max-width: 54rem; }
a { color: var(--link); }
a.word { color: inherit; text-decoration: underline dotted; text-underline-offset: .2em; }
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
summary { padding: .3rem 0; cursor: pointer; color: var(--link); }
.contents { list-style: none; margin: 0; padding: 0; columns: 22rem; }
.contents a { display: block; padding: .2rem 0; }
.contents .level3 { padding-left: 1.2rem; }
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1.2rem;
}
figure { margin: .6rem 0; max-width: 40rem; }
figure img { width: 100%; height: auto; display: block; }
figure.wide { max-width: none; grid-column: 1 / -1; }
/* White paper lets the shadow behind it through, which says that a figure scrolls. */
figure .scroll img { mix-blend-mode: multiply; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .3rem; }
/* The last of an odd number of figures has its caption beside it, and leaves no hole. */
@media (min-width: 60rem) {
  figure:last-child:nth-child(odd):not(.wide) {
    grid-column: 1 / -1;
    max-width: none;
    display: grid;
    grid-template-columns: 1fr 1fr;
    gap: 1.2rem;
    align-items: center;
  }
}
/* A shadow at an edge says that there is more beyond it; it goes where there is none. */
.scroll {
  overflow-x: auto;
  background:
    linear-gradient(#fff, #fff) right -2px top / 1.9rem 100% no-repeat local,
    linear-gradient(to right, transparent, #a9b4bf) right / 1.2rem 100% no-repeat scroll;
}
.scroll:focus-visible { outline: 2px solid var(--link); }
table {
  border-collapse: collapse;
  font-size: .9rem;
  margin: .8rem 0;
  font-variant-numeric: tabular-nums;
}
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 11rem; max-width: 24rem; }
/* Sentences beside one short column have all the room there is. */
td.long:nth-last-child(2):first-child { max-width: 48rem; }
/* Sentences in the last of two columns, as meanings of words, begin at one edge. */
td.long:nth-child(2):last-child, th:nth-child(2):last-child { text-align: left; max-width: 40rem; }
th:first-child, td:first-child {
  text-align: left;
  white-space: normal;
  position: sticky;
  left: 0;
  background: #fff;
}
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:not(:first-child) { min-width: 4.5em; }
td:first-child { min-width: 8.5rem; }
@media (max-width: 40rem) {
  th, td { padding: .35rem .5rem; }
  th:not(:first-child) { min-width: 6.5em; }
  th:first-child:nth-last-child(n+3), td:first-child:nth-last-child(n+3) {
    min-width: 8rem;
    max-width: 44vw;
    border-right: 1px solid var(--line);
  }
}
dl { margin: .6rem 0; }
dl div { padding: .3rem 0; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (min-width: 44rem) {
  dl div { display: grid; grid-template-columns: 13rem 1fr; gap: 1rem; }
}
:target { background: #fff3bf; }
code {
  background: var(--wash);
  padding: .1rem .3rem;
  border-radius: .25rem;
  font-size: .9em;
  overflow-wrap: anywhere;
}
footer {
  margin-top: 3rem;
  color: var(--soft);
  font-size: .88rem;
  border-top: 1px solid var(--line);
}
"""
