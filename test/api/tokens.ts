import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import type { VerifierSettings } from '../../src/platform/tokens.ts';

export const ISSUER = 'https://issuer.example.com/';
export const AUDIENCE = 'jetledger';
/** The clock of everything that checks tokens here, in seconds. */
export const NOW = Date.UTC(2026, 0, 15, 9, 30) / 1_000;

export const VERIFIER: VerifierSettings = {
  jwksUrl: '',
  keyFile: '',
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: 'ES256,RS256',
  clockSkewSeconds: 30,
  maxTokenSeconds: 86_400,
  userClaim: 'sub',
  scopeClaim: 'scope',
};

/** A key of the issuer. */
export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  return { kid, alg, ...(await generateKeyPair(alg, { extractable: true })) };
}

/** What the issuer publishes. */
export async function jwkSetOf(...keys: readonly SigningKey[]): Promise<JSONWebKeySet> {
  const jwks = keys.map(async ({ kid, alg, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg }));
  return { keys: await Promise.all(jwks) };
}

/** A token that is valid for an hour unless the claims say otherwise; `undefined` leaves a claim out. */
export function tokenOf(
  { kid, alg, privateKey }: SigningKey,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const all = { iss: ISSUER, aud: AUDIENCE, iat: NOW, exp: NOW + 3_600, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg, kid, typ: 'JWT' }).sign(privateKey);
}

/** The headers of a request with a token. */
export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

/** An issuer's JWKS over HTTP, whose keys change and which can be away. */
export interface JwksServer extends AsyncDisposable {
  readonly url: string;
  publish(set: JSONWebKeySet): void;
  /** Requests that were answered so far. */
  readonly fetched: () => number;
  setAway(away: boolean): void;
}

export async function jwksServer(first: JSONWebKeySet): Promise<JwksServer> {
  let published = first;
  let away = false;
  let count = 0;
  const server = createServer((_request, response) => {
    count++;
    response.writeHead(away ? 503 : 200, { 'content-type': 'application/json', connection: 'close' });
    response.end(away ? '' : JSON.stringify(published));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/jwks.json`,
    publish: (set) => {
      published = set;
    },
    fetched: () => count,
    setAway: (value) => {
      away = value;
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
