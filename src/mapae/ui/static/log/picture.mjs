// The path from an entry to the root, as a picture; the same in words is beside it.

import { hex } from "./tree.mjs";

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, TALL, STEP, MIDDLE, ASIDE] = [132, 44, 84, 180, 84];

function shape(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function box(x, y, kind, label, hash) {
  const group = shape("g", { class: `node node-${kind}` });
  group.append(
    shape("rect", { x: x - WIDE / 2, y: y - TALL / 2, width: WIDE, height: TALL, rx: 8 }),
    shape("text", { x, y: y - 5, "text-anchor": "middle", class: "node-label" }, label),
    shape("text", { x, y: y + 13, "text-anchor": "middle", class: "node-hash" }, `${hex(hash).slice(0, 12)}…`),
  );
  return group;
}

/** `way`: the hash at each height, the entry's first; `path`: each one's sibling. Answers the parts of a figure. */
export function drawPath({ path, way, good, root, index }, say) {
  const height = (path.length + 2) * STEP;
  const drawing = shape("svg", { viewBox: `0 0 360 ${height}`, width: 360, height, role: "img", class: "path-picture" });
  const summary = say(good ? "drawing_good" : "drawing_bad", { index, count: path.length });
  drawing.setAttribute("aria-label", summary);
  const y = (level) => height - STEP / 2 - level * STEP;
  const x = (level) => (level < path.length ? MIDDLE + (path[level].left ? ASIDE : -ASIDE) : MIDDLE);
  const [lines, boxes] = [[], []];
  const kind = good ? "good" : "way";
  for (const [level, { left, hash }] of path.entries()) {
    const beside = MIDDLE + (left ? -ASIDE : ASIDE);
    const above = [x(level + 1), y(level + 1)];
    lines.push(line(x(level), y(level), ...above, kind), line(beside, y(level), ...above, "sibling"));
    boxes.push(box(beside, y(level), "sibling", say("drawing_sibling"), hash));
    boxes.push(box(x(level), y(level), kind, level ? say("drawing_node", { level }) : say("drawing_entry", { index }), way[level]));
  }
  const top = path.length;
  const verdict = good ? "good" : "bad";
  lines.push(line(MIDDLE, y(top), MIDDLE, y(top + 1), verdict));
  boxes.push(
    box(MIDDLE, y(top), verdict, say("drawing_computed"), way[top]),
    box(MIDDLE, y(top + 1), good ? "good" : "signed", say("drawing_signed"), root),
    shape("circle", { cx: MIDDLE, cy: y(top) - STEP / 2, r: 13, class: `sign sign-${verdict}` }),
    shape("text", { x: MIDDLE, y: y(top) - STEP / 2 + 6, "text-anchor": "middle", class: "sign-text" }, good ? "=" : "≠"),
  );
  drawing.append(...lines, ...boxes);
  const caption = document.createElement("figcaption");
  caption.textContent = summary;
  return [drawing, caption, inWords(path, way, root, say)];
}

function line(x1, y1, x2, y2, kind) {
  return shape("line", { x1, y1, x2, y2, class: `edge edge-${kind}` });
}

function inWords(path, way, root, say) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = say("drawing_words");
  const list = document.createElement("ol");
  const add = (words, hash) => {
    const item = document.createElement("li");
    const code = document.createElement("code");
    code.textContent = hex(hash);
    item.append(`${words} `, code);
    list.append(item);
  };
  add(say("words_leaf"), way[0]);
  path.forEach(({ left, hash }) => add(say(left ? "words_left" : "words_right"), hash));
  add(say("words_computed"), way[way.length - 1]);
  add(say("words_signed"), root);
  details.append(summary, list);
  return details;
}
