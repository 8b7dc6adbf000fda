// Makes what the NATS configuration of configs/nats needs: an NKEY for each role, and certificates.
//   npm run nats:users -- <folder> [--hosts nats-0,nats-1,nats-2,localhost,127.0.0.1]
// The folder must not exist and must not be in git. It gets:
//   <role>.nk                     the seed of each user (api, projector, processor, operator): secret, nats.nkeySeedFile
//   users.env                     the public keys, for the environment of nats-server: not secret
//   ca.pem                        the authority, for nats.tls.caFile and NATS_TLS_CA: not secret
//   server.pem, server.key        a certificate for all hosts, and its key: secret, NATS_TLS_CERT and NATS_TLS_KEY
//   ca.key                        signs further certificates: secret, keep it away from the servers
// With an authority of your own, take the keys and leave the certificates.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { nkeys } from '@nats-io/transport-node';
import { makeAuthority, makeServerCertificate } from './certificate.mjs';

const ROLES = ['api', 'projector', 'processor', 'operator'];
const HOSTS = 'nats-0,nats-1,nats-2,nats,localhost,127.0.0.1';

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

function makeFolder(path) {
  const folder = resolve(path);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    fail(`${folder} cannot be made (${error.code}). Name a new folder: keys are never overwritten.`);
  }
  return folder;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { hosts: { type: 'string', default: HOSTS } },
});
const [path] = positionals;
if (path === undefined || positionals.length > 1)
  fail('Name a new folder: npm run nats:users -- <folder> [--hosts a,b]');
const folder = makeFolder(path);
const write = (name, text, mode = 0o600) => writeFileSync(join(folder, name), text, { mode });

const lines = ROLES.map((role) => {
  const user = nkeys.createUser();
  write(`${role}.nk`, `${Buffer.from(user.getSeed()).toString('ascii')}\n`);
  return `JETLEDGER_NKEY_${role.toUpperCase()}=${user.getPublicKey()}\n`;
});
write('users.env', lines.join(''), 0o644);

const authority = makeAuthority('JetLedger NATS');
const hosts = values.hosts.split(',').map((host) => host.trim());
const server = makeServerCertificate(authority, hosts);
write('ca.pem', authority.cert, 0o644);
write('ca.key', authority.key);
write('server.pem', server.cert, 0o644);
write('server.key', server.key);
process.stdout.write(
  `${folder}: seeds of ${ROLES.join(', ')}; a certificate for ${hosts.join(', ')}. Keep it out of git.\n`,
);
