import { CONFIG_KEYS } from './keys.ts';
import { maskUrl } from './mask-url.ts';
import type { Config } from './schema.ts';
import { getAt, setAt } from './tree.ts';

/** A copy of the configuration in which every secret that is set reads `***`, for showing it to people. */
export function maskSecrets(config: Config): Config {
  const masked = structuredClone(config);
  for (const key of CONFIG_KEYS) {
    if (key.secret && getAt(masked, key.name) !== '') setAt(masked, key.name, '***');
  }
  masked.nats.url = maskUrl(masked.nats.url);
  return masked;
}
