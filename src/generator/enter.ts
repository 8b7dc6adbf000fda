import { CannotMake } from './names.ts';

/** What is entered in the list of a service: an import, and an element of one of its arrays. */
export interface Entry {
  /** The exported array of the list, for example `views`. */
  readonly array: string;
  readonly element: string;
  /** Undefined when the element brings its import along. */
  readonly importLine?: string;
}

/** The text of a list with the entry in it; as it was when it is there already. @throws CannotMake where it has no such array */
export function entered(text: string, { array, element, importLine }: Entry, path: string): string {
  const begin = new RegExp(`(?:const ${array}\\b[^=]*=|function ${array}\\b[^{]*\\{\\s*return)\\s*\\[`).exec(
    text,
  );
  const from = begin === null ? -1 : begin.index + begin[0].length;
  const to = text.indexOf(']', from);
  if (begin === null || to < 0)
    throw new CannotMake(
      `${path} has no array ${array}: enter ${element} by hand where the service finds it.`,
    );
  const elements = text.slice(from, to);
  if (new RegExp(`(^|[\\s,(])${escaped(element)}([\\s,]|$)`).test(elements)) return text;
  const several = elements.includes('\n');
  const before = elements.trimEnd().replace(/,$/, '');
  const separator = before.trim() === '' ? '' : ',';
  const after = several ? `${separator}\n  ${element},\n` : `${separator}${separator && ' '}${element}`;
  const listed = text.slice(0, from) + before + after + text.slice(to);
  return importLine === undefined ? listed : withImport(listed, importLine);
}

const escaped = (literal: string): string => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const pathOf = (line: string): string => /from '([^']+)'/.exec(line)?.[1] ?? '';

/** The import stands among those of neighbouring files, in their order. */
function withImport(text: string, line: string): string {
  const lines = text.split('\n');
  const own = lines.flatMap((one, index) => (/^import .* from '\.\.?\//.test(one) ? [index] : []));
  const next = own.find((index) => pathOf(lines[index] ?? '') > pathOf(line));
  lines.splice(next ?? (own.at(-1) ?? -1) + 1, 0, line);
  return lines.join('\n');
}
