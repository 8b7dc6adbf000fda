import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { memoryService } from '../support/memory-service.ts';

// Lints the OpenAPI document that the service serves, with configs/redocly.yaml and without any network.
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'jetledger-openapi-'));
try {
  const file = join(folder, 'openapi.json');
  await using service = await memoryService();
  const { statusCode, body } = await service.app.inject('/openapi.json');
  if (statusCode !== 200) throw new Error(`/openapi.json answered ${statusCode}`);
  writeFileSync(file, body);
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/@redocly/cli/bin/cli.js'),
      'lint',
      file,
      '--config',
      join(root, 'configs/redocly.yaml'),
      '--format',
      'stylish',
    ],
    {
      stdio: 'inherit',
      cwd: folder,
      env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', CI: 'true' },
    },
  );
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
