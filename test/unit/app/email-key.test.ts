import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createEmailKey } from '../../../src/app/email-key.ts';

const secret = Buffer.from('0123456789abcdef0123456789abcdef', 'utf8');

describe('the key of e-mail addresses', () => {
  const key = createEmailKey(secret);

  it('gives the ids that are stored for ever in the subjects of the log', () => {
    expect(key.idOf('ada@example.com')).toBe('Ui1pti60wFboJNJfv9v5qx0vrP_63Fa286xwxIa0huI');
    expect(key.check).toBe('4QoNEbY8oPqImOv4');
  });

  it('gives ids of 43 characters that a subject can carry', () => {
    expect(key.idOf('ada@example.com')).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(key.check).toMatch(/^[A-Za-z0-9_-]{16}$/);
  });

  it('gives each address an id of its own', () => {
    expect(key.idOf('bob@example.com')).not.toBe(key.idOf('ada@example.com'));
  });

  it('gives other ids and another check value under another secret', () => {
    const other = createEmailKey(Buffer.from('fedcba9876543210fedcba9876543210', 'utf8'));
    expect(other.idOf('ada@example.com')).not.toBe(key.idOf('ada@example.com'));
    expect(other.check).not.toBe(key.check);
  });

  it('has a check value that is the id of no address', () => {
    expect(key.idOf('').startsWith(key.check)).toBe(false);
  });

  it('gives pseudonyms that are stored for ever in subjects, and are neither the id of an address nor a plain hash', () => {
    const pseudonym = key.pseudonymOf('ada@example.com');
    expect(pseudonym).toBe('366f2e9eafe83f85ffbbe7f89987a89500fade68e80d7e1ffdb1e21b1df005fa');
    expect(pseudonym).toMatch(/^[0-9a-f]{64}$/);
    expect(Buffer.from(pseudonym, 'hex').toString('base64url')).not.toBe(key.idOf('ada@example.com'));
    expect(pseudonym).not.toBe(createHash('sha256').update('ada@example.com').digest('hex'));
  });

  it('gives fingerprints that are stored for ever, longer than the unkeyed ones that they are made of', () => {
    const digest = new Uint8Array(16).fill(5);
    const keyed = key.keyedFingerprint(digest);
    expect(Buffer.from(keyed).toString('hex')).toBe('90544951014fed9f908814ea24033eb899c7b543');
    expect(keyed).toHaveLength(20);
    expect(key.keyedFingerprint(new Uint8Array(16).fill(6))).not.toEqual(keyed);
  });

  it('is refused when it is short enough to be guessed', () => {
    expect(() => createEmailKey(secret.subarray(0, 31))).toThrow(/at least 32/);
  });
});
