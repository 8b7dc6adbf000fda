// X.509 certificates with nothing but Node: an authority, and servers that it vouches for. For trying things out, for
// tests, and for a cluster whose nodes trust one authority of their own. ECDSA on P-256, RFC 5280.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

const DAY_MS = 86_400_000;
const [INTEGER, BIT_STRING, OCTET_STRING, UTF8, SEQUENCE, SET] = [0x02, 0x03, 0x04, 0x0c, 0x30, 0x31];
const [UTC_TIME, GENERALIZED_TIME, DNS_NAME, IP_ADDRESS, VERSION, EXTENSIONS] = [
  0x17, 0x18, 0x82, 0x87, 0xa0, 0xa3,
];
// Identifiers (OIDs), encoded.
const COMMON_NAME = '550403';
const ECDSA_WITH_SHA256 = '2a8648ce3d040302';
const BASIC_CONSTRAINTS = '551d13';
const KEY_USAGE = '551d0f';
const EXTENDED_KEY_USAGE = '551d25';
const ALTERNATIVE_NAMES = '551d11';
const SERVER_AUTH = '2b06010505070301';
const CLIENT_AUTH = '2b06010505070302';

function der(tag, ...parts) {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

const oid = (hex) => der(0x06, Buffer.from(hex, 'hex'));
const YES = Buffer.from([0x01, 0x01, 0xff]);
const algorithm = () => der(SEQUENCE, oid(ECDSA_WITH_SHA256));
const nameOf = (text) =>
  der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(UTF8, Buffer.from(text)))));
const bits = (unused, bytes) => der(BIT_STRING, Buffer.from([unused]), bytes);

function time(ms) {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  // Two digits of the year until 2049, as the standard demands.
  const short = digits < '2050';
  return der(short ? UTC_TIME : GENERALIZED_TIME, Buffer.from(short ? digits.slice(2) : digits));
}

function extension(id, critical, value) {
  return der(SEQUENCE, oid(id), ...(critical ? [YES] : []), der(OCTET_STRING, value));
}

function address(host) {
  if (isIP(host) === 4) return der(IP_ADDRESS, Buffer.from(host.split('.').map(Number)));
  if (isIP(host) === 6)
    throw new RangeError(`Name ${host} by a host name: addresses of IPv6 are not encoded here.`);
  return der(DNS_NAME, Buffer.from(host));
}

function certificate({ subject, issuer, publicKey, signer, days, now, extensions }) {
  // Positive, since the first bit is zero.
  const serial = randomBytes(16);
  serial[0] = (serial[0] & 0x3f) | 0x40;
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, serial),
    algorithm(),
    nameOf(issuer),
    // An hour back, for clocks that differ.
    der(SEQUENCE, time(now - 3_600_000), time(now + days * DAY_MS)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, der(SEQUENCE, ...extensions)),
  );
  const made = der(SEQUENCE, body, algorithm(), bits(0, sign('sha256', body, signer)));
  const lines = made.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const newKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pemOf = (key) => key.export({ type: 'pkcs8', format: 'pem' });

/** An authority of one's own: `{ cert, key }` in PEM. */
export function makeAuthority(name, { days = 3_650, now = Date.now() } = {}) {
  const { publicKey, privateKey } = newKeys();
  const extensions = [
    extension(BASIC_CONSTRAINTS, true, der(SEQUENCE, YES)),
    // Signs certificates and lists of revoked ones.
    extension(KEY_USAGE, true, bits(1, Buffer.from([0x06]))),
  ];
  const names = { subject: name, issuer: name };
  return {
    cert: certificate({ ...names, publicKey, signer: privateKey, days, now, extensions }),
    key: pemOf(privateKey),
  };
}

/** A server's `{ cert, key }` in PEM, for every host name and IPv4 address that it is called by. */
export function makeServerCertificate(authority, hosts, { days = 397, now = Date.now() } = {}) {
  const [subject] = hosts;
  if (subject === undefined) throw new RangeError('A server needs a name.');
  const { publicKey, privateKey } = newKeys();
  const issuer = new X509Certificate(authority.cert).subject.replace(/^CN=/, '');
  const extensions = [
    extension(BASIC_CONSTRAINTS, true, der(SEQUENCE)),
    extension(KEY_USAGE, true, bits(7, Buffer.from([0x80]))),
    extension(EXTENDED_KEY_USAGE, false, der(SEQUENCE, oid(SERVER_AUTH), oid(CLIENT_AUTH))),
    extension(ALTERNATIVE_NAMES, false, der(SEQUENCE, ...hosts.map(address))),
  ];
  const signer = createPrivateKey(authority.key);
  return {
    cert: certificate({ subject, issuer, publicKey, signer, days, now, extensions }),
    key: pemOf(privateKey),
  };
}
