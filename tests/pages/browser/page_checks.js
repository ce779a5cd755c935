// What a reader would see go wrong on the page that is open: a list of sentences, empty if all is well.
// It runs inside the page; the page is measured as it is laid out now, at the width of its window.
(options) => {
  const width = document.documentElement.clientWidth;
  const faults = [];
  const say = (rule, what) => faults.push(`${rule}: ${what}`);
  const PHONE = 500;

  // -- what is seen

  const styles = new Map();
  const styleOf = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };

  const named = (element) => {
    const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    const id = element.id ? `#${element.id}` : "";
    const kind = typeof element.className === "string" && element.className.trim();
    const classes = kind ? "." + kind.split(/\s+/).slice(0, 2).join(".") : "";
    return `<${element.localName}${id}${classes}> "${text}"`;
  };

  // The part of the window through which an element can be seen: its boxes that scroll or hide cut it.
  const windows = new Map();
  const windowOf = (element) => {
    if (!element || element === document.documentElement) {
      return { left: -Infinity, right: Infinity, top: -Infinity, bottom: Infinity };
    }
    if (windows.has(element)) return windows.get(element);
    const style = styleOf(element);
    let seen = style.position === "fixed" ? windowOf(null) : windowOf(element.parentElement);
    const cuts = style.overflowX !== "visible" || style.overflowY !== "visible";
    if (cuts && element !== document.body && style.display !== "inline") {
      const box = element.getBoundingClientRect();
      seen = {
        left: Math.max(seen.left, box.left), right: Math.min(seen.right, box.right),
        top: Math.max(seen.top, box.top), bottom: Math.min(seen.bottom, box.bottom),
      };
    }
    windows.set(element, seen);
    return seen;
  };

  const SKIPPED = "mjx-container, .MathJax, math, svg, script, style, noscript, template, [aria-hidden=true]";
  const isShown = (element) => {
    if (!element || element.closest(SKIPPED)) return false;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const style = styleOf(element);
    return !(style.clipPath === "inset(50%)" || style.clip === "rect(0px, 0px, 0px, 0px)");
  };
  // A drawer that waits beside the window is no part of what is read now.
  const isAside = (box) => box.right <= 1 || box.left >= width - 1;

  // -- text: each line of each piece of text, as far as it can be seen

  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || !isShown(element)) continue;
    range.selectNodeContents(node);
    const seen = windowOf(element);
    for (const box of range.getClientRects()) {
      if (box.width < 2 || box.height < 2 || isAside(box)) continue;
      const part = {
        left: Math.max(box.left, seen.left), right: Math.min(box.right, seen.right),
        top: Math.max(box.top, seen.top), bottom: Math.min(box.bottom, seen.bottom),
      };
      if (part.right - part.left > 1 && part.bottom - part.top > 1) lines.push({ ...part, element, node });
    }
  }

  // -- nothing is cut

  const overflow = document.documentElement.scrollWidth - width;
  if (overflow > 1) say("overflow", `the page is ${overflow} pixels wider than its window`);
  for (const line of lines) {
    if (line.right > width + 1) say("overflow", `${named(line.element)} ends ${Math.round(line.right - width)} pixels outside`);
    if (line.left < -1 && line.right > 1) say("overflow", `${named(line.element)} begins outside`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    const style = styleOf(element);
    if (!["hidden", "clip"].includes(style.overflowX) || !isShown(element)) continue;
    if (element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 1 && element.textContent.trim()) {
      say("cut", `${named(element)} hides ${element.scrollWidth - element.clientWidth} pixels`);
    }
  }
  for (const image of document.images) {
    const box = image.getBoundingClientRect();
    if (isShown(image) && !isAside(box) && Math.min(box.right, windowOf(image).right) > width + 1) say("overflow", `${named(image)} ends outside`);
    if (!image.complete || image.naturalWidth === 0) say("image", `${image.getAttribute("src").slice(0, 60)} is not there`);
  }

  // -- no text lies on other text

  const byTop = [...lines].sort((one, other) => one.top - other.top);
  for (let i = 0; i < byTop.length; i++) {
    const one = byTop[i];
    // Letters take the middle of their line: boxes of two lines may touch where letters do not.
    const bottom = one.bottom - 0.25 * (one.bottom - one.top);
    for (let j = i + 1; j < byTop.length; j++) {
      const other = byTop[j];
      if (other.top >= bottom) break;
      if (other.node === one.node) continue;
      const top = other.top + 0.25 * (other.bottom - other.top);
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(bottom, other.bottom - 0.25 * (other.bottom - other.top)) - Math.max(one.top, top);
      if (across > 1.5 && down > 1.5 && !isFloating(one) && !isFloating(other)) {
        say("overlap", `${named(one.element)} lies on ${named(other.element)}`);
      }
    }
  }
  // What stays in place while the page scrolls lies over it on purpose.
  function isFloating(line) {
    for (let element = line.element; element; element = element.parentElement) {
      if (["fixed", "sticky"].includes(styleOf(element).position)) return true;
    }
    return false;
  }

  // -- tables

  for (const table of document.querySelectorAll("table")) {
    if (!isShown(table)) continue;
    let box = table.parentElement;
    while (box && box !== document.body && !["auto", "scroll"].includes(styleOf(box).overflowX)) box = box.parentElement;
    const hidden = box && box !== document.body ? box.scrollWidth - box.clientWidth : 0;
    if (hidden <= 1) continue;
    if (width >= 1200) say("table", `${named(table)} hides ${hidden} pixels on a wide screen`);
    const bar = box.offsetHeight - box.clientHeight;
    if (bar < 4 && !styleOf(box).backgroundImage.includes("gradient")) {
      say("table", `${named(table)} scrolls, and nothing shows it`);
    }
    if (box.tabIndex < 0 && options.own) say("table", `${named(table)} cannot be scrolled by keys`);
    const rows = [...table.rows].filter((row) => row.cells.length > 1);
    if (rows.some((row) => styleOf(row.cells[0]).position !== "sticky")) {
      say("table", `the first column of ${named(table)} does not stay`);
    }
    const first = Math.max(...rows.map((row) => row.cells[0].getBoundingClientRect().width));
    if (first > 0.6 * box.clientWidth) say("table", `the first column of ${named(table)} leaves no room for the others`);
  }

  // -- a text for every picture

  for (const image of document.images) {
    const text = (image.getAttribute("alt") || "").trim();
    if (!text && !image.closest("[aria-hidden=true]")) say("alt", `${(image.getAttribute("src") || "").slice(0, 60)} has no text`);
    if (/\.(png|svg|jpe?g|gif|webp)$/i.test(text)) say("alt", `${text} is a file's name, and no text`);
  }
  for (const svg of document.querySelectorAll("svg")) {
    if (svg.closest("[aria-hidden=true], defs, [style*='display: none']") || !svg.checkVisibility()) continue;
    const around = svg.closest("a, button, label, summary");
    const used = svg.querySelector("use")?.getAttribute("href");
    const symbol = used && used.startsWith("#") && document.getElementById(used.slice(1));
    const own = [svg, symbol || svg].map((one) => one.querySelector("title")?.textContent || one.getAttribute("aria-label"));
    const outside = [around, around?.control].map((one) => one?.textContent?.trim() || one?.getAttribute("aria-label") || one?.title);
    const text = [...own, ...outside, svg.getAttribute("aria-labelledby")].find(Boolean);
    if (!text) say("alt", `${named(svg)} has no title`);
  }

  // -- headings

  const heads = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((one) => one.checkVisibility());
  const firsts = heads.filter((one) => one.localName === "h1").length;
  if (firsts !== 1) say("headings", `${firsts} of the first level`);
  let level = 0;
  for (const head of heads) {
    const own = Number(head.localName[1]);
    if (own > level + 1) say("headings", `${named(head)} follows one of level ${level}`);
    level = own;
  }
  if (!document.documentElement.lang) say("language", "the page names none");
  if (!document.title.trim()) say("title", "the page has none");

  // -- on a phone: letters large enough to read, targets large enough to touch

  if (width <= PHONE) {
    for (const line of lines) {
      const size = parseFloat(styleOf(line.element).fontSize);
      const raised = line.element.closest("sup, sub, .linenos, .copybtn");
      if (size < 12 && !raised) say("small", `${named(line.element)} has letters of ${size} pixels`);
    }
    const targets = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, label[for]");
    for (const target of targets) {
      if (!isShown(target)) continue;
      const box = target.getBoundingClientRect();
      if (isAside(box) || box.width === 0) continue;
      // A link within a sentence is as high as its line; so says WCAG 2.2, 2.5.8.
      const inline = styleOf(target).display === "inline";
      if (!inline && (box.width < 24 || box.height < 24)) {
        say("target", `${named(target)} is ${Math.round(box.width)} x ${Math.round(box.height)} pixels`);
      }
    }
    // A figure knows how large it was drawn: shrunk below this, its small print cannot be read.
    for (const image of document.querySelectorAll("img[data-drawn]")) {
      const shrunk = image.getBoundingClientRect().width / Number(image.dataset.drawn);
      if (shrunk < 0.7) say("small", `a figure is shrunk to ${Math.round(100 * shrunk)} %: ${image.alt.slice(0, 40)}`);
    }
  }
  return [...new Set(faults)];
}
