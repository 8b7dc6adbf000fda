import { maskUrl } from '../mask-url.ts';
import { CONFIG_KEYS, getAt, setAt } from './keys.ts';
import type { Config } from './schema.ts';

/** Whether a key holds addresses, which may have credentials in them. */
export function holdsAddress(key: string): boolean {
  return /(url|urls|endpoint)$/i.test(key);
}

/** A copy of the configuration in which every secret that is set reads `***`, for showing it to people. */
export function maskSecrets(config: Config): Config {
  const masked = structuredClone(config);
  for (const key of CONFIG_KEYS) {
    const value = getAt(masked, key.name);
    if (key.secret && value !== '') setAt(masked, key.name, '***');
    else if (typeof value === 'string' && holdsAddress(key.name)) setAt(masked, key.name, maskUrl(value));
  }
  return masked;
}
