import { type StreamRef, subjectOf } from '../stream.ts';
import { headerLine, leanHeaders } from './lean-headers.ts';
import type { Requests } from './requests.ts';
import { HEADER, isConflict, parseAck } from './wire.ts';

/** No aggregate ever has this version. */
const NEVER = Number.MAX_SAFE_INTEGER;

/**
 * Asks the log's leader to take a commit that it has to refuse, since its expectation cannot hold. A refusal for exactly
 * that reason shows that appends reach a leader that decides about them; nothing is stored.
 * @param stream an aggregate that this process may write to; it need not exist
 * @returns undefined when appends are decided about, else the reason why not
 */
export async function probeWrites(
  requests: Pick<Requests, 'request'>,
  options: { readonly prefix: string; readonly stream: StreamRef; readonly timeoutMs: number },
): Promise<string | undefined> {
  const { prefix, stream, timeoutMs } = options;
  const headers = leanHeaders(headerLine(HEADER.expectedSubjectSequence, String(NEVER)));
  const reply = await requests.request(subjectOf(prefix, stream), '', { headers, timeoutMs });
  if (reply.failed !== undefined) return reply.failed;
  const { error } = parseAck(reply.msg);
  if (error === undefined) return 'an append that had to be refused was stored';
  return isConflict(error.errCode) ? undefined : error.description;
}
