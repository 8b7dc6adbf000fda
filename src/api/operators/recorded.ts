import type { FastifyRequest } from 'fastify';
import { reasonOf } from '../../eventstore/index.ts';
import type { ServiceDeps } from '../deps.ts';
import { principalOf } from '../meta.ts';
import type { OperatorRequest, Wish } from './ports.ts';

type Outcome = Pick<OperatorRequest, 'result' | 'marked'>;

/**
 * Does what this process may do itself, and keeps it as data: who asked, when, why, and what came of it. Written down
 * before it is done, so that nothing is ever done that nobody asked for.
 * @throws what `work` throws, once that is written down too
 */
export async function recorded<T>(
  request: FastifyRequest,
  { admin: { requests }, runtime }: Pick<ServiceDeps, 'admin' | 'runtime'>,
  wish: Pick<Wish, 'action' | 'target' | 'stream'> & { readonly reason?: string | undefined },
  work: (id: string, by: string) => Promise<T>,
  tell: (done: T) => Outcome = () => ({}),
): Promise<{ readonly id: string; readonly done: T }> {
  const id = runtime.id();
  const by = principalOf(request);
  await requests.ask({ ...wish, id, by, reason: wish.reason ?? '' });
  try {
    const done = await work(id, by);
    await requests.end(id, { state: 'done', ...tell(done) });
    return { id, done };
  } catch (error) {
    await requests.end(id, { state: 'failed', result: reasonOf(error) });
    throw error;
  }
}
