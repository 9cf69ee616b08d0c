// Inline comments: a box at the line, collected into one review. Without this, each comment is sent by itself.
(() => {
  "use strict";
  const review = document.getElementById("review");
  if (!review) return;
  const pending = document.getElementById("pending");
  const list = pending.querySelector("ul");

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.add");
    if (!link) return;
    event.preventDefault();
    const row = link.closest("tr");
    const open = row.nextElementSibling?.querySelector(".draft textarea");
    if (open) { open.focus(); return; }
    row.after(box(link.closest(".file").dataset.path, Number(link.dataset.line), link.dataset.side));
  });

  function box(path, line, side) {
    const row = document.createElement("tr");
    row.className = "talk";
    const cell = row.insertCell();
    cell.colSpan = 4;
    const draft = make("div", "line-form draft");
    const text = make("textarea");
    text.rows = 3;
    text.maxLength = 20000;
    const label = make("label", "", `Comment on ${path}:${line}`);
    label.append(text);
    const add = make("button", "primary", "Add to review");
    add.type = "button";
    const discard = make("button", "plain", "Discard");
    discard.type = "button";
    const buttons = make("div", "buttons");
    buttons.append(add, discard);
    draft.append(label, buttons);
    cell.append(draft);
    discard.addEventListener("click", () => row.remove());
    add.addEventListener("click", () => {
      if (!text.value.trim()) { text.focus(); return; }
      collect(row, { path, line, side, body: text.value.trim() });
    });
    setTimeout(() => text.focus());
    return row;
  }

  function collect(row, comment) {
    const field = make("input");
    field.type = "hidden";
    field.name = "comment";
    field.value = JSON.stringify(comment);
    const entry = make("li", "", "");
    entry.append(make("code", "", `${comment.path}:${comment.line}`), ` ${comment.body} `);
    const drop = make("button", "plain", "Remove");
    drop.type = "button";
    entry.append(drop, field);
    list.append(entry);
    pending.hidden = false;
    const shown = make("div", "thread draft-shown");
    shown.append(make("span", "chip waiting", "not sent yet"), make("p", "", comment.body));
    row.cells[0].replaceChildren(shown);
    drop.addEventListener("click", () => { entry.remove(); row.remove(); pending.hidden = !list.children.length; });
  }

  function make(tag, name = "", text = "") {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text) made.textContent = text;
    return made;
  }

  addEventListener("beforeunload", (event) => {
    if (list.children.length && !review.dataset.sent) event.preventDefault();
  });
})();
