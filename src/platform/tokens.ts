import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';

/** The keys cannot be fetched, and none that are known can tell. */
export class KeysUnavailable extends Error {
  constructor(options?: ErrorOptions) {
    super('The keys of the token issuer cannot be fetched.', options);
    this.name = 'KeysUnavailable';
  }
}

/** The key file cannot be used; the message says what to do. */
export class KeyFileUnusable extends Error {
  constructor(path: string, why: string, options?: ErrorOptions) {
    super(`auth.keyFile ${path}: ${why}`, options);
    this.name = 'KeyFileUnusable';
  }
}

export interface RemoteKeysSettings {
  readonly url: string;
  /** How long one fetch may take. */
  readonly timeoutMs?: number;
  /** How long after a fetch an unknown key id causes no other one. */
  readonly cooldownMs?: number;
  /** From what age on the keys are fetched again. */
  readonly maxAgeMs?: number;
  /** How long after a failed fetch none is tried. */
  readonly pauseMs?: number;
}

/**
 * The keys of an issuer's JWKS. A token with an unknown key id makes them be fetched again, at most once per cooldown.
 * While the issuer cannot be reached, the keys that are known stay good; what they cannot tell is `KeysUnavailable`.
 */
export function remoteKeys(settings: RemoteKeysSettings): JWTVerifyGetKey {
  const { url, timeoutMs = 2_000, cooldownMs = 30_000, maxAgeMs = 600_000, pauseMs = 1_000 } = settings;
  const remote = createRemoteJWKSet(new URL(url), {
    timeoutDuration: timeoutMs,
    cooldownDuration: cooldownMs,
    cacheMaxAge: maxAgeMs,
  });
  let failedAt = Number.NEGATIVE_INFINITY;

  async function fromKnown(cause: unknown, ...args: Parameters<JWTVerifyGetKey>) {
    const known = remote.jwks();
    if (known === undefined) throw new KeysUnavailable({ cause });
    try {
      return await createLocalJWKSet(known)(...args);
    } catch (error) {
      // It may be a key that the issuer has made since.
      if (error instanceof errors.JWKSNoMatchingKey) throw new KeysUnavailable({ cause });
      throw error;
    }
  }

  return async (...args) => {
    if (performance.now() - failedAt < pauseMs) return fromKnown(undefined, ...args);
    try {
      return await remote(...args);
    } catch (error) {
      if (isAboutTheToken(error)) throw error;
      failedAt = performance.now();
      return fromKnown(error, ...args);
    }
  };
}

function isAboutTheToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}

/**
 * The keys of a local file: a JWK set in JSON, or one public key or certificate in PEM.
 * @throws KeyFileUnusable also for private and symmetric keys, which do not belong here
 */
export function keysOfFile(path: string): JWTVerifyGetKey {
  const text = readText(path);
  if (text.includes('PRIVATE KEY')) throw new KeyFileUnusable(path, PRIVATE);
  if (text.includes('-----BEGIN')) {
    const key = publicKeyOf(path, text);
    return async () => key;
  }
  return createLocalJWKSet(jwkSetOf(path, text));
}

const PRIVATE = 'holds a private key; the service needs the public one only, keep the other with the issuer.';

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeyFileUnusable(path, 'cannot be read; give the path of a file with the public keys.', {
      cause,
    });
  }
}

function publicKeyOf(path: string, pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new KeyFileUnusable(path, 'is no public key in PEM.', { cause });
  }
}

function jwkSetOf(path: string, text: string): JSONWebKeySet {
  let set: JSONWebKeySet;
  try {
    set = JSON.parse(text) as JSONWebKeySet;
    createLocalJWKSet(set);
  } catch (cause) {
    throw new KeyFileUnusable(path, 'is neither a JWK set ({"keys": [...]}) nor PEM.', { cause });
  }
  if (set.keys.length === 0) throw new KeyFileUnusable(path, 'holds no key.');
  if (set.keys.some((key) => key.d !== undefined)) throw new KeyFileUnusable(path, PRIVATE);
  if (set.keys.some((key) => key.kty === 'oct')) {
    throw new KeyFileUnusable(path, 'holds a symmetric key; tokens must be signed with a private key.');
  }
  return set;
}

export interface VerifierSettings {
  /** Address of the issuer's JWK set; or else a key file. */
  readonly jwksUrl: string;
  /** A JWK set, or a public key in PEM. */
  readonly keyFile: string;
  readonly issuer: string;
  readonly audience: string;
  /** Separated by commas. */
  readonly algorithms: string;
  readonly clockSkewSeconds: number;
  /** How long a token may be valid in all, from when it was issued to its end. */
  readonly maxTokenSeconds: number;
  /** The claim that names the user. */
  readonly userClaim: string;
  /** The claim with the scopes: text separated by blanks, or a list. */
  readonly scopeClaim: string;
}

export type TokenVerdict =
  | {
      readonly outcome: 'verified';
      readonly user: string;
      readonly scopes: readonly string[];
      /** In milliseconds since the Unix epoch. */
      readonly expiresAt: number;
    }
  /** `why`: one sentence for the client, with nothing of the token in it. */
  | { readonly outcome: 'refused'; readonly why: string }
  | { readonly outcome: 'unavailable' };

export interface TokenVerifier {
  /** Checks signature, algorithm, type, issuer, audience and times; a token without an end, or with a late one, is refused. */
  verify(token: string): Promise<TokenVerdict>;
}

/** How to get at keys, when not as the settings say; for tests. */
export interface VerifierDeps {
  readonly keys?: JWTVerifyGetKey;
  readonly now?: () => Date;
}

/** @throws KeyFileUnusable */
export function createTokenVerifier(
  settings: VerifierSettings,
  { keys = keysOf(settings), now = () => new Date() }: VerifierDeps = {},
): TokenVerifier {
  const { issuer, audience, clockSkewSeconds } = settings;
  const options = {
    issuer,
    audience,
    algorithms: settings.algorithms.split(',').map((name) => name.trim()),
    clockTolerance: clockSkewSeconds,
    requiredClaims: ['exp'],
  };
  return {
    verify: async (token) => {
      try {
        const at = now();
        const { payload, protectedHeader } = await jwtVerify(token, keys, { ...options, currentDate: at });
        const why = whyUnfit(protectedHeader.typ, payload, at.getTime() / 1_000, settings);
        return why === undefined ? verdictOf(payload, settings) : { outcome: 'refused', why };
      } catch (error) {
        if (error instanceof KeysUnavailable) return { outcome: 'unavailable' };
        if (error instanceof errors.JOSEError) return { outcome: 'refused', why: whyRefused(error) };
        // A key of another kind than the token's algorithm needs.
        if (error instanceof TypeError) return { outcome: 'refused', why: 'Its signature is not valid.' };
        throw error;
      }
    },
  };
}

function keysOf({ jwksUrl, keyFile }: VerifierSettings): JWTVerifyGetKey {
  return jwksUrl === '' ? keysOfFile(keyFile) : remoteKeys({ url: jwksUrl });
}

/** Access tokens (RFC 9068) and plain JWTs; many issuers leave the type out. Logout tokens and others are none. */
const TYPE = /^(application\/)?(at\+)?jwt$/i;

function whyUnfit(
  typ: string | undefined,
  { exp = Number.POSITIVE_INFINITY, iat = Number.POSITIVE_INFINITY }: JWTPayload,
  now: number,
  { clockSkewSeconds, maxTokenSeconds }: VerifierSettings,
): string | undefined {
  if (typ !== undefined && !TYPE.test(typ))
    return 'Its type (typ) is not at+jwt or JWT, so it is no access token.';
  // What it says of its own beginning may make it older and no younger.
  if (exp - Math.min(iat, now) > maxTokenSeconds + clockSkewSeconds)
    return `It is valid for longer than the ${maxTokenSeconds} seconds that are allowed.`;
  return undefined;
}

function verdictOf(payload: JWTPayload, { userClaim, scopeClaim }: VerifierSettings): TokenVerdict {
  const user = payload[userClaim];
  if (typeof user !== 'string' || user === '') {
    return { outcome: 'refused', why: `The claim ${userClaim}, which names the user, is missing.` };
  }
  const given = payload[scopeClaim];
  const scopes = typeof given === 'string' ? given.split(' ') : (given ?? []);
  if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === 'string')) {
    return { outcome: 'refused', why: `The claim ${scopeClaim} is neither a text nor a list of texts.` };
  }
  return { outcome: 'verified', user, scopes, expiresAt: (payload.exp ?? 0) * 1_000 };
}

const CLAIMS: Readonly<Record<string, string>> = {
  aud: 'It is for another audience.',
  iss: 'It is from another issuer.',
  nbf: 'It is not valid yet.',
  exp: 'It has no end (exp).',
};

function whyRefused(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'It has expired.';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return CLAIMS[error.claim] ?? 'One of its claims is not valid.';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'It is signed with an algorithm that is not allowed.';
  if (error instanceof errors.JWKSNoMatchingKey) return 'It is signed with an unknown key.';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'Its signature is not valid.';
  return 'It is not a valid JWT.';
}
