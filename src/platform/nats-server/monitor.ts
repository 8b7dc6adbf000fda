import { get } from 'node:http';

/** True when the server's monitoring endpoint answers `path` with status 200 within `timeoutMs`. Never throws. */
export function isHealthy(monitorUrl: string, path: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(
      `${monitorUrl}${path}`,
      { agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        response.resume();
        response.once('error', () => resolve(false));
        resolve(response.statusCode === 200);
      },
    );
    request.once('error', () => resolve(false));
  });
}
