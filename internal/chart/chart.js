"use strict";
// Makes the marks of every plot readable: by pointer the nearest one, by
// keyboard one after the other. The plot becomes a slider whose value is the
// sentence of the mark. Without this script the marks have tooltips.
for (const chart of document.querySelectorAll(".chart")) {
  const plot = chart.querySelector(".plot");
  const svg = plot.querySelector("svg");
  const group = svg.querySelector(".marks");
  if (!group) continue;
  const { width, height } = svg.viewBox.baseVal;
  const marks = Array.from(group.children, (path) => ({
    text: path.textContent,
    at: Array.from(path.getAttribute("d").matchAll(/M([\d.]+) ([\d.]+)/g),
      (m) => ({ x: m[1] / width, y: m[2] / height })),
  }));
  group.remove();

  const cursor = document.createElement("div");
  cursor.className = "cursor";
  cursor.tabIndex = 0;
  cursor.setAttribute("role", "slider");
  cursor.setAttribute("aria-label", "Values of: " + svg.querySelector("title").textContent);
  cursor.setAttribute("aria-valuemin", 1);
  cursor.setAttribute("aria-valuemax", marks.length);
  const points = Math.max(...marks.map((m) => m.at.length));
  const rule = chart.dataset.near === "x";
  const parts = Array.from({ length: points + (rule ? 1 : 0) }, (_, i) => {
    const part = document.createElement("i");
    part.className = i < points ? "at" : "rule";
    cursor.append(part);
    return part;
  });
  const readout = document.createElement("p");
  readout.className = "readout idle";
  readout.setAttribute("aria-hidden", "true");
  const idle = "Point at it, or focus it and use the arrow keys, to read its values.";
  readout.textContent = idle;
  plot.append(cursor);
  chart.after(readout);
  const label = readout.nextElementSibling;
  if (label && label.matches(".axis.x")) label.after(readout);

  const inset = 6; // how far the cursor reaches beyond the plot, as in the style sheet
  let current = 0;
  const place = (i) => {
    current = Math.min(marks.length - 1, Math.max(0, i));
    cursor.setAttribute("aria-valuenow", current + 1);
    cursor.setAttribute("aria-valuetext", marks[current].text);
  };
  const show = (i) => {
    place(i);
    const w = plot.clientWidth, h = plot.clientHeight, { at, text } = marks[current];
    parts.forEach((part, k) => {
      const p = k < points ? at[k] : at[0];
      part.style.visibility = p ? "visible" : "hidden";
      if (!p) return;
      part.style.left = p.x * w + inset + "px";
      if (k < points) part.style.top = p.y * h + inset + "px";
    });
    cursor.classList.add("on");
    readout.classList.remove("idle");
    readout.textContent = text;
  };
  const hide = () => {
    if (document.activeElement === cursor) return show(current);
    cursor.classList.remove("on");
    readout.classList.add("idle");
    readout.textContent = idle;
  };
  const nearest = (event) => {
    const box = plot.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = 0, least = Infinity;
    marks.forEach((mark, i) => {
      for (const p of mark.at) {
        const dx = chart.dataset.near === "y" ? 0 : p.x * box.width - x;
        const dy = chart.dataset.near === "x" ? 0 : p.y * box.height - y;
        if (dx * dx + dy * dy < least) [best, least] = [i, dx * dx + dy * dy];
      }
    });
    return best;
  };
  cursor.addEventListener("pointermove", (event) => show(nearest(event)));
  cursor.addEventListener("pointerdown", (event) => show(nearest(event)));
  cursor.addEventListener("pointerleave", hide);
  cursor.addEventListener("focus", () => show(current));
  cursor.addEventListener("blur", hide);
  cursor.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.round(marks.length / 10));
    const to = {
      ArrowRight: current + 1, ArrowUp: current + 1, ArrowLeft: current - 1, ArrowDown: current - 1,
      PageUp: current + page, PageDown: current - page, Home: 0, End: marks.length - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(to);
  });
  place(0);
}

// What is folded is printed too, but for the long lists.
const folded = () => document.querySelectorAll("details:not([open]):not(.long)");
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = Array.from(folded());
  unfolded.forEach((d) => { d.open = true; });
});
addEventListener("afterprint", () => unfolded.forEach((d) => { d.open = false; }));
