/** What a token turned out to be. */
export type Verdict =
  | {
      readonly outcome: 'verified';
      /** The claim that names the user, as it is. */
      readonly user: string;
      readonly scopes: readonly string[];
      /** In milliseconds since the Unix epoch. */
      readonly expiresAt: number;
    }
  /** `why` is for the client: one sentence without anything of the token in it. */
  | { readonly outcome: 'refused'; readonly why: string }
  /** The keys cannot be fetched, so that nobody knows. */
  | { readonly outcome: 'unavailable' };

/** Verifies bearer tokens. Never throws for what a client sends. */
export interface Authenticator {
  verify(token: string): Promise<Verdict>;
}

/** Off: everybody may do everything; never in production. */
export type Authentication = Authenticator | 'off';
