import { styleText } from 'node:util';

type Colour = 'green' | 'yellow' | 'red' | 'dim';

/** Coloured on a terminal, plain elsewhere and where `NO_COLOR` is set. */
export function paint(colour: Colour, text: string): string {
  return styleText(colour, text);
}
