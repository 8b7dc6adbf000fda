// Asks this container's service whether it lives; for HEALTHCHECK, in an image that has no curl.
// Exit code 0 = it answers. Ports as the service finds its own: JETLEDGER_HTTP__PORT, PORT, 3000.
const { JETLEDGER_HTTP__PORT, PORT } = process.env;
const port = JETLEDGER_HTTP__PORT || PORT || '3000';

try {
  const answer = await fetch(`http://127.0.0.1:${port}/health/live`, { signal: AbortSignal.timeout(2_000) });
  process.exitCode = answer.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
