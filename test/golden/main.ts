// Writes the golden bytes of every event type and version that has none yet:
//   npm run golden
// What is there is never written again: those bytes are in somebody's log, and must decode for ever. When an upcaster
// changes what old bytes decode to, edit `json` in the file by hand, and leave `hex` as it is.
import { keepGolden } from '../../src/testing/golden.ts';
import { GOLDEN_FOLDER, sources } from './golden.ts';

console.log(`${keepGolden(sources, GOLDEN_FOLDER).length} golden files written`);
