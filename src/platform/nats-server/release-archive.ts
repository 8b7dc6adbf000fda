import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { download } from './download.ts';
import type { Fetcher } from './fetcher.ts';
import { runCommand } from './run-command.ts';

/** An archive of an official release, with the one content that is accepted. */
export interface ReleaseArchive {
  readonly url: string;
  /** SHA-256 of the archive, in hex. */
  readonly sha256: string;
}

const VERSION = 'v2.14.5';
const SHA256: Readonly<Record<string, string>> = {
  'linux-amd64': '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
  'linux-arm64': '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
};
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const UNPACK_TIMEOUT_MS = 30_000;

/** The official archive for a platform and processor (as in `process.platform`, `process.arch`), if its content is pinned here. */
export function officialArchive(platform: string, arch: string): ReleaseArchive | undefined {
  const target = `${platform}-${ARCHITECTURES[arch] ?? arch}`;
  const sha256 = SHA256[target];
  if (sha256 === undefined) return undefined;
  const folder = `https://github.com/nats-io/nats-server/releases/download/${VERSION}`;
  return { url: `${folder}/nats-server-${VERSION}-${target}.tar.gz`, sha256 };
}

/** Fetches the server from an archive, which is unpacked only when its content is exactly the pinned one. */
export function releaseFetcher(archive: ReleaseArchive | undefined): Fetcher {
  return {
    source: 'release',
    title: 'official release archive',
    fetch: async (scratch, onProgress) => {
      if (archive === undefined) {
        throw new Error(`no archive is pinned for ${process.platform} on ${process.arch}`);
      }
      const file = join(scratch, 'release.tar.gz');
      await download(archive.url, file, (bytes) => onProgress(`downloading the archive: ${bytes}`));
      const sha256 = await sha256Of(file);
      if (sha256 !== archive.sha256) {
        throw new Error(
          `the archive is not the expected one (sha256 ${sha256} instead of ${archive.sha256})`,
        );
      }
      const args = ['-xzf', file, '--strip-components=1', '-C', scratch];
      await runCommand('tar', args, { timeoutMs: UNPACK_TIMEOUT_MS });
      return join(scratch, 'nats-server');
    },
  };
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
