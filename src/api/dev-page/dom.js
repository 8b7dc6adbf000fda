// What a page is made of. Values of spans come from callers of the API: they only ever become text or attributes set
// one by one, never markup.

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, unknown>} attributes `on…` are listeners; undefined and false are left out
 * @param {...(Node | string | number | undefined | false | (Node | string)[])} children strings become text
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** The element with an id that the page's HTML has. */
export function byId(id) {
  return document.getElementById(id);
}

/** Whether the user writes into a field, so that keys are letters and not commands. */
export function isTyping(event) {
  return event.target instanceof HTMLInputElement && event.target.type !== 'checkbox';
}
