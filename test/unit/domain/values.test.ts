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
  timeOf,
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

  test.each(['\u202Eevil', 'a\u200f', 'a\u061cb', '\u2066a\u2069'])(
    '%j is refused, because it turns the direction of the text around it',
    (input) => {
      expect(normaliseName(input)).toBeUndefined();
      expect(normaliseReason(input)).toBeUndefined();
    },
  );

  test.each([
    '\u200b',
    '\u200d',
    '\u00ad',
    '\u2060',
    '\u2800',
    '\u3164',
    '\ufeff',
    '\ufe0f',
    '\u{e0020}',
    ' \u200c ',
  ])('%j is no name, because it shows nothing', (input) => {
    expect(normaliseName(input)).toBeUndefined();
  });

  test.each(['👩\u200d🚀', 'می\u200cخواهم', '❤\ufe0f', 'Zu\u00adcker', '.'])(
    '%j is a name as it is',
    (input) => {
      expect(normaliseName(input)).toBe(input);
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

describe('a time', () => {
  test.each([
    ['2026-01-15T09:30:00Z', Date.UTC(2026, 0, 15, 9, 30)],
    ['2026-01-15T09:30+01:30', Date.UTC(2026, 0, 15, 8)],
    ['2026-01-15T09:30:00.123456789Z', Date.UTC(2026, 0, 15, 9, 30, 0, 123)],
    ['2028-02-29T23:59:59-00:00', Date.UTC(2028, 1, 29, 23, 59, 59)],
    ['2026-12-31', Date.UTC(2026, 11, 31)],
  ])('%s is read exactly', (text, time) => {
    expect(timeOf(text)).toBe(time);
  });

  test.each([
    '2027-02-30T00:00:00Z',
    '2027-02-29T12:00:00Z',
    '2026-11-31',
    '2026-13-01',
    '2026-00-10',
    '2026-01-00',
    '2026-01-15T24:00:00Z',
    '2026-01-15T23:60:00Z',
    '2026-01-15T23:59:60Z',
    '2026-01-15T09:30:00+24:00',
    '2026-01-15T09:30:00',
    '2026-01-15 09:30:00Z',
    '2026-1-15',
    '15 January 2026',
    '+002026-01-15',
    '',
  ])('%j is none', (text) => {
    expect(timeOf(text)).toBeUndefined();
  });
});
