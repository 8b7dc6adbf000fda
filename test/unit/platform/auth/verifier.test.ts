import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactSign, exportJWK, exportPKCS8, exportSPKI, generateSecret, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createTokenVerifier,
  KeyFileUnusable,
  keysOfFile,
  remoteKeys,
  type VerifierSettings,
} from '../../../../src/platform/tokens.ts';
import {
  AUDIENCE,
  ISSUER,
  jwkSetOf,
  jwksServer,
  NOW,
  type SigningKey,
  signingKey,
  tokenOf,
  VERIFIER,
} from '../../../api/tokens.ts';

let folder: string;
let key: SigningKey;
let rsa: SigningKey;
let stranger: SigningKey;
let file: string;
const now = () => new Date(NOW * 1_000);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'jetledger-keys-'));
  [key, rsa, stranger] = await Promise.all([signingKey('k1'), signingKey('r1', 'RS256'), signingKey('k1')]);
  file = write('keys.json', JSON.stringify(await jwkSetOf(key, rsa)));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function verifierOf(settings: Partial<VerifierSettings> = {}) {
  return createTokenVerifier({ ...VERIFIER, keyFile: file, ...settings }, { now });
}

const CLAIMS = { sub: 'ada', scope: 'users orders' };

describe('a token', () => {
  it('tells who asks, with which scopes, and until when', async () => {
    expect(await verifierOf().verify(await tokenOf(key, CLAIMS))).toEqual({
      outcome: 'verified',
      user: 'ada',
      scopes: ['users', 'orders'],
      expiresAt: (NOW + 3_600) * 1_000,
    });
  });

  it('may name its user and its scopes in other claims, the scopes as a list', async () => {
    const verifier = verifierOf({ userClaim: 'client', scopeClaim: 'scp' });
    const token = await tokenOf(key, { client: 'c7', scp: ['admin'] });
    expect(await verifier.verify(token)).toMatchObject({ user: 'c7', scopes: ['admin'] });
  });

  it.each([
    ['has expired', { exp: NOW - 31 }, 'It has expired.'],
    ['has no end', { exp: undefined }, 'It has no end (exp).'],
    ['is not valid yet', { nbf: NOW + 31 }, 'It is not valid yet.'],
    ['is for another audience', { aud: 'other' }, 'It is for another audience.'],
    ['has no audience', { aud: undefined }, 'It is for another audience.'],
    ['is from another issuer', { iss: 'https://evil.example.com/' }, 'It is from another issuer.'],
    ['has no issuer', { iss: undefined }, 'It is from another issuer.'],
    ['names no user', { sub: undefined }, 'The claim sub, which names the user, is missing.'],
    ['names an empty user', { sub: '' }, 'The claim sub, which names the user, is missing.'],
  ])('that %s is refused', async (_name, claims: object, why) => {
    const token = await tokenOf(key, { ...CLAIMS, ...claims });
    expect(await verifierOf().verify(token)).toEqual({ outcome: 'refused', why });
  });

  /** Claims as text, since no JSON writer writes what is not finite. */
  const signed = (claims: string, header: object = {}) =>
    new CompactSign(new TextEncoder().encode(`{"iss":"${ISSUER}","aud":"${AUDIENCE}","sub":"ada",${claims}}`))
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
      .sign(key.privateKey);
  const until = NOW + 3_600;

  it.each([
    ['never ends', '"exp":1e400'],
    ['ends when nothing is left', '"exp":1e308'],
    ['ends after more than the longest time', `"exp":${NOW + 86_431}`],
    ['was issued longer ago than that', `"iat":${until - 86_431},"exp":${until}`],
    ['hides that behind a beginning to come', `"iat":${NOW + 86_000},"exp":${NOW + 90_000}`],
  ])('that %s is refused', async (_name, claims) => {
    const why = 'It is valid for longer than the 86400 seconds that are allowed.';
    expect(await verifierOf().verify(await signed(claims))).toEqual({ outcome: 'refused', why });
  });

  it.each(['logout+jwt', 'dpop+jwt', 'JOSE', '', 'application/logout+jwt'])(
    'of the type "%s" is refused',
    async (typ) => {
      const why = 'Its type (typ) is not at+jwt or JWT, so it is no access token.';
      const verdict = await verifierOf().verify(await signed(`"exp":${until}`, { typ }));
      expect(verdict).toEqual({ outcome: 'refused', why });
    },
  );

  it.each(['at+jwt', 'AT+JWT', 'application/at+jwt', 'JWT', undefined])(
    'may be of the type %s',
    async (typ) => {
      const token = await signed(`"exp":${until}`, typ === undefined ? {} : { typ });
      expect(await verifierOf().verify(token)).toMatchObject({ outcome: 'verified', scopes: [] });
    },
  );

  it.each(['[["admin"]]', '["users",1]', '{"0":"admin"}', '7', 'true'])(
    'with the scopes %s is refused, since they are neither a text nor a list of texts',
    async (scope) => {
      const why = 'The claim scope is neither a text nor a list of texts.';
      const token = await signed(`"exp":${until},"scope":${scope}`);
      expect(await verifierOf().verify(token)).toEqual({ outcome: 'refused', why });
    },
  );

  it('may be off by as much as the clocks may differ', async () => {
    for (const claims of [{ exp: NOW - 29 }, { nbf: NOW + 29 }]) {
      const token = await tokenOf(key, { ...CLAIMS, ...claims });
      expect(await verifierOf().verify(token)).toMatchObject({ outcome: 'verified' });
    }
  });

  it('that is signed with an algorithm which is not named is refused, also with the right key', async () => {
    const token = await tokenOf(rsa, CLAIMS);
    expect(await verifierOf({ algorithms: 'ES256' }).verify(token)).toMatchObject({ outcome: 'refused' });
    expect(await verifierOf().verify(token)).toMatchObject({ outcome: 'verified' });
  });

  it('without a signature, or signed with the public key as a secret, is refused', async () => {
    const all = { ...CLAIMS, iss: ISSUER, aud: AUDIENCE, exp: NOW + 60 };
    const secret = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
    const forged = [
      new UnsecuredJWT(all).encode(),
      await new SignJWT(all).setProtectedHeader({ alg: 'HS256', kid: 'r1' }).sign(secret),
      await new SignJWT(all).setProtectedHeader({ alg: 'HS256' }).sign(await generateSecret('HS256')),
    ];
    const pem = write('rsa.pem', await exportSPKI(rsa.publicKey));
    for (const token of forged) {
      for (const verifier of [verifierOf(), verifierOf({ keyFile: pem })]) {
        expect(await verifier.verify(token)).toMatchObject({ outcome: 'refused' });
      }
    }
  });

  it('that brings its own key, is signed by a stranger, or is damaged is refused', async () => {
    const all = { ...CLAIMS, iss: ISSUER, aud: AUDIENCE, exp: NOW + 60 };
    const jwk = await exportJWK(stranger.publicKey);
    const own = await new SignJWT(all).setProtectedHeader({ alg: 'ES256', jwk }).sign(stranger.privateKey);
    const good = await tokenOf(key, CLAIMS);
    const [head, , signature] = good.split('.');
    const admin = Buffer.from(JSON.stringify({ ...all, scope: 'admin' })).toString('base64url');
    const wrong = [own, await tokenOf(stranger, CLAIMS), `${head}.${admin}.${signature}`, 'a.b.c', 'x', ''];
    for (const token of wrong) {
      expect(await verifierOf().verify(token)).toMatchObject({ outcome: 'refused' });
    }
  });
});

describe('the issuer', () => {
  it('may change its keys: an unknown one is fetched once, and not again before the cooldown is over', async () => {
    const next = await signingKey('k2');
    await using server = await jwksServer(await jwkSetOf(key));
    const keys = remoteKeys({ url: server.url, cooldownMs: 0, pauseMs: 0 });
    const verifier = createTokenVerifier(VERIFIER, { keys, now });
    expect(await verifier.verify(await tokenOf(key, CLAIMS))).toMatchObject({ outcome: 'verified' });
    server.publish(await jwkSetOf(next));
    expect(await verifier.verify(await tokenOf(next, CLAIMS))).toMatchObject({ outcome: 'verified' });
    expect(await verifier.verify(await tokenOf(key, CLAIMS))).toMatchObject({ outcome: 'refused' });

    const cooling = createTokenVerifier(VERIFIER, { keys: remoteKeys({ url: server.url }), now });
    await cooling.verify(await tokenOf(next, CLAIMS));
    const before = server.fetched();
    for (let i = 0; i < 20; i++) {
      const unknown = { ...stranger, kid: `unknown-${i}` };
      expect(await cooling.verify(await tokenOf(unknown, CLAIMS))).toMatchObject({ outcome: 'refused' });
    }
    expect(server.fetched()).toBe(before);
  });

  it('that is away makes nobody known; keys that are known stay good, and unknown ones are not guessed', async () => {
    await using server = await jwksServer(await jwkSetOf(key));
    server.setAway(true);
    const keys = remoteKeys({ url: server.url, cooldownMs: 0, maxAgeMs: 0, pauseMs: 0 });
    const verifier = createTokenVerifier(VERIFIER, { keys, now });
    const token = await tokenOf(key, CLAIMS);
    expect(await verifier.verify(token)).toEqual({ outcome: 'unavailable' });
    server.setAway(false);
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'verified' });
    server.setAway(true);
    expect(await verifier.verify(token)).toMatchObject({ outcome: 'verified' });
    const other = await tokenOf({ ...stranger, kid: 'k9' }, CLAIMS);
    expect(await verifier.verify(other)).toEqual({ outcome: 'unavailable' });
    expect(await verifier.verify(await tokenOf(stranger, CLAIMS))).toMatchObject({ outcome: 'refused' });
  });

  it('that is away is not asked again for every request', async () => {
    await using server = await jwksServer(await jwkSetOf(key));
    server.setAway(true);
    const keys = remoteKeys({ url: server.url, pauseMs: 60_000 });
    const verifier = createTokenVerifier(VERIFIER, { keys, now });
    for (let i = 0; i < 10; i++) {
      expect(await verifier.verify(await tokenOf(key, CLAIMS))).toEqual({ outcome: 'unavailable' });
    }
    expect(server.fetched()).toBe(1);
  });
});

describe('a key file', () => {
  it('holds a JWK set or a public key in PEM', async () => {
    const pem = write('ec.pem', await exportSPKI(key.publicKey));
    for (const keyFile of [file, pem]) {
      const verifier = verifierOf({ keyFile });
      expect(await verifier.verify(await tokenOf(key, CLAIMS))).toMatchObject({ outcome: 'verified' });
    }
  });

  it('with anything else is refused with what is wrong, and with nothing of what it holds', async () => {
    const secret = { kty: 'oct', k: 'c2VjcmV0' };
    const wrong: [string, RegExp][] = [
      [join(folder, 'none.json'), /cannot be read/],
      [write('private.pem', await exportPKCS8(key.privateKey)), /private key/],
      [write('private.json', JSON.stringify({ keys: [await exportJWK(key.privateKey)] })), /private key/],
      [write('oct.json', JSON.stringify({ keys: [secret] })), /symmetric/],
      [write('empty.json', '{"keys":[]}'), /no key/],
      [write('text.json', 'secret'), /neither a JWK set/],
      [
        write('broken.pem', '-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----\n'),
        /no public key/,
      ],
    ];
    for (const [path, why] of wrong) {
      expect(() => keysOfFile(path)).toThrow(KeyFileUnusable);
      expect(() => keysOfFile(path)).toThrow(why);
      expect(() => keysOfFile(path)).not.toThrow(/secret|c2Vj/);
    }
  });
});
