import type { Posted } from '../port.ts';
import { type Dialler, TargetRefused } from './dial.ts';

/** A receiver that says so wants nothing at all for a while, whatever it is. */
const BUSY: ReadonlySet<number> = new Set([429, 503]);

/** Any status of 200 to 299 means "taken". Never rejects; an error never names the URL, which may hold a secret. */
export async function tryPost(
  { post }: Pick<Dialler, 'post'>,
  ...request: Parameters<Dialler['post']>
): Promise<Posted> {
  try {
    const { status, answer, retryAfterMs } = await post(...request);
    if (status >= 200 && status <= 299) return { taken: true, status, answer };
    const wait = BUSY.has(status) && retryAfterMs !== undefined && { retryAfterMs };
    return { taken: false, status, answer, error: `status ${status}`, ...wait };
  } catch (fault) {
    return { taken: false, error: reasonOf(fault) };
  }
}

function reasonOf(fault: unknown): string {
  if (!(fault instanceof Error)) return 'no connection';
  if (fault instanceof TargetRefused || fault.name === 'TimeoutError') return fault.message;
  const code = 'code' in fault && typeof fault.code === 'string' ? fault.code : '';
  if (code.startsWith('HPE_')) return `the answer is not HTTP, or its headers are too long: ${code}`;
  return code === '' ? 'no connection' : `no connection: ${code}`;
}
