// Makes what the NATS configuration of configs/nats needs: an NKEY for each user, and certificates.
//   npm run nats:users -- <folder> [--hosts nats-0,nats-1,nats-2,localhost,127.0.0.1] [--partner acme=orders-v1]
// The folder must not exist and must not be in git. It gets:
//   <user>.nk                     the seed of each user (api, projector, processor, operator, owner, partners): secret
//   <user>.env                    the environment of a process that logs in with it: not secret
//   users.env                     the public keys, for the environment of nats-server: not secret
//   ca.pem                        the authority, for nats.tls.caFile and NATS_TLS_CA: not secret
//   server.pem, server.key        a certificate for all hosts, and its key: secret, NATS_TLS_CERT and NATS_TLS_KEY
//   ca.key                        signs further certificates: secret, keep it away from the servers
// With an authority of your own, take the keys and leave the certificates.
//
//   npm run nats:users -- --config [--to <file>] [--stream jetledger] [--prefix jl] [--before] [--break-glass]
//       [--partner acme=orders-v1,catalogue-v1]
// writes the accounts and users that nats-server includes (users.conf), here to configs/nats and deploy/k8s: --before
// keeps the users of one account for all beside them, --break-glass takes the guard off the log (docs/operations.md).
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { nkeys } from '@nats-io/transport-node';
import { makeAuthority, makeServerCertificate } from './certificate.mjs';
import { partnersOf, USERS, usersConf, variablesOf } from './nats-roles.mjs';

const HOSTS = 'nats-0,nats-1,nats-2,nats,localhost,127.0.0.1';

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

function readPartners() {
  try {
    return partnersOf(values.partner);
  } catch (error) {
    return fail(error.message);
  }
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
  options: {
    hosts: { type: 'string', default: HOSTS },
    config: { type: 'boolean', default: false },
    to: { type: 'string' },
    stream: { type: 'string', default: 'jetledger' },
    prefix: { type: 'string', default: 'jl' },
    before: { type: 'boolean', default: false },
    'break-glass': { type: 'boolean', default: false },
    partner: { type: 'string', multiple: true, default: [] },
  },
});
const [path] = positionals;
const partners = readPartners();
if (positionals.length !== (values.config ? 0 : 1))
  fail(
    'Name a new folder: npm run nats:users -- <folder> [--hosts a,b]; or --config [--to file], without a folder',
  );
if (values.config) makeConfig();
else makeKeys(makeFolder(path));

function makeConfig() {
  const { stream, prefix, before, to } = values;
  const text = usersConf({ stream, prefix }, { before, partners, breakGlass: values['break-glass'] });
  const shipped = ['../configs/nats/users.conf', './k8s/base/nats/users.conf'];
  const files =
    to === undefined ? shipped.map((file) => fileURLToPath(new URL(file, import.meta.url))) : [to];
  for (const file of files) writeFileSync(file, text);
}

function makeKeys(folder) {
  const write = (name, text, mode = 0o600) => writeFileSync(join(folder, name), text, { mode });
  const lines = [...USERS, ...partners.map(({ name }) => name)].map((name) => {
    const user = nkeys.createUser();
    const seed = join(folder, `${name}.nk`);
    write(`${name}.nk`, `${Buffer.from(user.getSeed()).toString('ascii')}\n`);
    const variables = { JETLEDGER_NATS__NKEY_SEED_FILE: seed, ...variablesOf(name) };
    const set = Object.entries(variables).map(([variable, value]) => `${variable}='${value}'\n`);
    write(`${name}.env`, set.join(''), 0o644);
    return `JETLEDGER_NKEY_${name.toUpperCase()}=${user.getPublicKey()}\n`;
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
    `${folder}: seeds of ${USERS.join(', ')}; a certificate for ${hosts.join(', ')}. Keep it out of git.\n`,
  );
}
