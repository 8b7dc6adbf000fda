import { describe, expect, test } from 'vitest';
import {
  addAmounts,
  isCurrency,
  isSku,
  MAX_AMOUNT,
  multiplyAmount,
  normaliseEmail,
  normaliseName,
  normaliseReason,
} from '../../../src/domain/values.ts';

describe('an e-mail address', () => {
  test.each([
    ['ada@example.com', 'ada@example.com'],
    ['  Ada.Lovelace+Shop@EXAMPLE.Com ', 'ada.lovelace+shop@example.com'],
    ["o'neil_#1@sub.example.co.uk", "o'neil_#1@sub.example.co.uk"],
    ['x@xn--bcher-kva.example', 'x@xn--bcher-kva.example'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
    [`a@${'b'.repeat(63)}.example`, `a@${'b'.repeat(63)}.example`],
  ])('%j is claimed as %j', (input, address) => {
    expect(normaliseEmail(input)).toBe(address);
  });

  test.each([
    '',
    'ada',
    'ada@localhost',
    '@example.com',
    'ada@',
    'ada@@example.com',
    'ada@ex@ample.com',
    '.ada@example.com',
    'ada.@example.com',
    'a..da@example.com',
    'ada@-example.com',
    'ada@example-.com',
    'ada@example..com',
    'ada@example.com.',
    'ada lovelace@example.com',
    'ada@exam\nple.com',
    '"ada"@example.com',
    'ada@[127.0.0.1]',
    'ädä@example.com',
    // The Kelvin sign, which lower-cases to a plain k.
    '\u212Aelvin@example.com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(64)}.example`,
    `a@${'b.'.repeat(126)}example`,
  ])('%j is refused', (input) => {
    expect(normaliseEmail(input)).toBeUndefined();
  });
});

describe('a text', () => {
  test('is stored composed and without blanks at its ends', () => {
    expect(normaliseName('\u00a0 Ade\u0301le  Smith\u3000')).toBe('Ad\u00e9le  Smith');
  });

  test('is measured in characters and not in UTF-16 units', () => {
    expect(normaliseName('😀'.repeat(200))).toBe('😀'.repeat(200));
    expect(normaliseName('😀'.repeat(201))).toBeUndefined();
    expect(normaliseReason('x'.repeat(500))).toBe('x'.repeat(500));
    expect(normaliseReason('x'.repeat(501))).toBeUndefined();
  });

  test.each(['a\u0000', 'a\nb', 'a\u0085b', 'a\u2028b', 'a\u2029b', '\ud800', 'a\udc00b'])(
    '%j is refused, because it does not print or has no UTF-8',
    (input) => {
      expect(normaliseName(input)).toBeUndefined();
      expect(normaliseReason(input)).toBeUndefined();
    },
  );

  test('may be empty as a reason and not as a name', () => {
    expect(normaliseReason(' ')).toBe('');
    expect(normaliseName(' ')).toBeUndefined();
  });
});

describe('money', () => {
  test.each(['EUR', 'USD', 'JPY', 'KWD', 'XCG', 'ZWG', 'XOF'])('%s is a currency to sell in', (code) => {
    expect(isCurrency(code)).toBe(true);
  });

  test.each(['', 'eur', 'DEM', 'HRK', 'XAU', 'XXX', 'XTS', 'EUR ', 'EURUSD'])('%j is not', (code) => {
    expect(isCurrency(code)).toBe(false);
  });

  test('sums and products are exact up to the largest amount and refused above it', () => {
    expect(addAmounts(MAX_AMOUNT - 1n, 1n)).toBe(9_007_199_254_740_991n);
    expect(addAmounts(MAX_AMOUNT, 1n)).toBeUndefined();
    expect(multiplyAmount(3_002_399_751_580_330n, 3n)).toBe(9_007_199_254_740_990n);
    expect(multiplyAmount(3_002_399_751_580_331n, 3n)).toBeUndefined();
  });
});

test('a SKU is 1 to 64 capital letters, digits and hyphens and starts with none of the latter', () => {
  expect(['A', '7', 'TEA-1', `A${'-'.repeat(63)}`].every(isSku)).toBe(true);
  expect(['', '-A', 'a', 'A_1', 'A 1', 'A.1', 'A*', 'A\n', `A${'-'.repeat(64)}`].some(isSku)).toBe(false);
});
