const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ADDRESS = new RegExp(`^${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}$`);
const ASCII = /^[\x21-\x7e]*$/;
const MAX_LENGTH = 254;
const MAX_LOCAL_LENGTH = 64;

/**
 * The one spelling under which an address is stored and claimed: without blanks at its ends, in lower case.
 *
 * Undefined when it is no address of the usual form (RFC 5321 dot-string and a domain of two labels or more,
 * 254 characters in all). International domains are taken in their ASCII form (`xn--...`); quoted local parts and
 * address literals are refused. Dots and `+tags` are kept: what they mean is up to the provider.
 */
export function normaliseEmail(input: string): string | undefined {
  const trimmed = input.trim();
  // ASCII is checked before lower-casing: the Kelvin sign lower-cases to a plain k.
  if (trimmed.length > MAX_LENGTH || !ASCII.test(trimmed)) return undefined;
  const address = trimmed.toLowerCase();
  return address.indexOf('@') <= MAX_LOCAL_LENGTH && ADDRESS.test(address) ? address : undefined;
}
