// A table that is wider than its box scrolls in it: keys reach the box.
function markTables() {
  for (const box of document.querySelectorAll(".table-wrapper")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    if (scrolls) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", "A table that scrolls to the right");
    } else {
      box.removeAttribute("tabindex");
      box.removeAttribute("role");
      box.removeAttribute("aria-label");
    }
  }
}
window.addEventListener("load", markTables);
window.addEventListener("resize", markTables);

// What opens and closes in the theme is a label that holds a picture and no words.
function nameLabels() {
  const names = { __navigation: "All pages", __toc: "On this page" };
  for (const label of document.querySelectorAll("label[for]")) {
    const pages = label.parentElement.querySelector("a");
    const name = names[label.htmlFor] || (pages && `Pages of ${pages.textContent.trim()}`);
    if (name && !label.textContent.trim()) {
      label.setAttribute("aria-label", name);
      label.title = name;
    }
  }
}
window.addEventListener("DOMContentLoaded", nameLabels);
