/* What a page has to be besides what axe-core looks at. Gives a list of sentences, one for each thing that is wrong. */
() => {
  const wrong = [];
  const say = (what, one) => wrong.push(`${what}: ${one.outerHTML.slice(0, 160)}`);
  const isShown = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  const headings = [...document.querySelectorAll("h1")].filter(isShown);
  if (headings.length !== 1) wrong.push(`it has ${headings.length} headings of the first level`);
  if (!document.title.trim()) wrong.push("it has no title");
  if (document.querySelectorAll("main").length !== 1) wrong.push("it has not one main part");
  for (const one of document.querySelectorAll("[onload], [onerror]")) say("somebody's words became markup", one);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) wrong.push(`two have the id ${id}`);

  const looks = (one) => {
    const { outlineStyle, outlineWidth, boxShadow, borderColor, textDecorationLine } = getComputedStyle(one);
    return [outlineStyle, outlineStyle === "none" ? "" : outlineWidth, boxShadow, borderColor, textDecorationLine].join();
  };
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, iframe, [role=button], [onclick]";
  for (const one of [...document.querySelectorAll(controls)].filter(isShown)) {
    if (one.disabled || one.closest("[inert], [aria-hidden=true], .skip")) continue;
    if (one.tabIndex !== 0) say("the Tab key does not come to it in its place", one);
    if (one.tagName === "IFRAME") continue;
    document.activeElement?.blur();
    const before = looks(one);
    one.focus({ preventScroll: true });
    if (document.activeElement !== one) say("it cannot have the focus", one);
    else if (looks(one) === before) say("nothing shows that it has the focus", one);
  }
  document.activeElement?.blur();
  return wrong;
}
