// Runs TypeScript as it is shipped: what tsx adds to each function (its name) slows hot paths down by a fifth.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
