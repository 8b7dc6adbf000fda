import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { KeysUnavailable, keysOfFile, remoteKeys } from './keys.ts';

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
  /** Checks signature, algorithm, issuer, audience and times; a token without an end is refused. */
  verify(token: string): Promise<TokenVerdict>;
}

/** How to get at keys, when not as the settings say; for tests. */
export interface VerifierSurroundings {
  readonly keys?: JWTVerifyGetKey;
  readonly now?: () => Date;
}

/** @throws KeyFileUnusable */
export function createTokenVerifier(
  settings: VerifierSettings,
  { keys = keysOf(settings), now = () => new Date() }: VerifierSurroundings = {},
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
        const { payload } = await jwtVerify(token, keys, { ...options, currentDate: now() });
        return verdictOf(payload, settings);
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

function verdictOf(payload: JWTPayload, { userClaim, scopeClaim }: VerifierSettings): TokenVerdict {
  const user = payload[userClaim];
  if (typeof user !== 'string' || user === '') {
    return { outcome: 'refused', why: `The claim ${userClaim}, which names the user, is missing.` };
  }
  const given = payload[scopeClaim];
  const scopes = Array.isArray(given) ? given.map(String) : typeof given === 'string' ? given.split(' ') : [];
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
