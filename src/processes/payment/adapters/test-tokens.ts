/** What a test token makes the simulated provider do; the tokens stand in docs/payment.md. */
export type TokenBehaviour =
  | { readonly kind: 'success' }
  | { readonly kind: 'declined'; readonly code: string; readonly message: string }
  /** Takes effect, but the first answer never comes. */
  | { readonly kind: 'timeout' }
  /** Has no effect and no answer, however often it is tried. */
  | { readonly kind: 'never' }
  /** The first `times` tries are refused as "not available" and have no effect. */
  | { readonly kind: 'fail'; readonly times: number }
  /** Takes effect after `ms`; the answer waits for it. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Answers "not available" at once and takes effect later, by itself. */
  | { readonly kind: 'late' }
  | { readonly kind: 'capture-declined'; readonly code: string; readonly message: string };

const FIXED: Readonly<Record<string, TokenBehaviour>> = {
  tok_success: { kind: 'success' },
  tok_declined: { kind: 'declined', code: 'card_declined', message: 'The card was declined.' },
  tok_insufficient_funds: {
    kind: 'declined',
    code: 'insufficient_funds',
    message: 'The account does not hold the amount.',
  },
  tok_timeout: { kind: 'timeout' },
  tok_never: { kind: 'never' },
  tok_late: { kind: 'late' },
  tok_capture_declined: {
    kind: 'capture-declined',
    code: 'capture_declined',
    message: 'The amount could not be taken.',
  },
};

const UNKNOWN: TokenBehaviour = {
  kind: 'declined',
  code: 'invalid_token',
  message: 'The provider does not know this way to pay.',
};

const NUMBERED = /^tok_(fail|slow)_(\d{1,6})$/;

/** What a token stands for; one that the provider does not know is declined, since it came from the customer's client. */
export function behaviourOf(token: string): TokenBehaviour {
  if (Object.hasOwn(FIXED, token)) return FIXED[token] ?? UNKNOWN;
  const numbered = NUMBERED.exec(token);
  if (numbered === null) return UNKNOWN;
  const value = Number(numbered[2]);
  return numbered[1] === 'fail' ? { kind: 'fail', times: value } : { kind: 'slow', ms: value };
}
