/** The largest amount, in minor units: the largest integer that every JSON reader keeps exactly. */
export const MAX_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

// ISO 4217, list one, of 2026: tender only, without funds, metals and test codes. Taking a code out is safe:
// it is checked when a product is listed or an order is placed, never when events are read.
const CURRENCIES: ReadonlySet<string> = new Set(
  `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
  CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG
  HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
  MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR
  RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD
  TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG`.split(/\s+/),
);

/** Whether `code` is an active ISO 4217 currency code, in upper case. */
export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}

/** Whether `minor` can be a price: 1 to the largest amount, in minor units. */
export function isPrice(minor: bigint): boolean {
  return minor >= 1n && minor <= MAX_AMOUNT;
}

/** `left + right` in minor units, or undefined above the largest amount. Both are amounts already. */
export function addAmounts(left: bigint, right: bigint): bigint | undefined {
  return bounded(left + right);
}

/** `quantity * unitPrice` in minor units, or undefined above the largest amount. */
export function multiplyAmount(unitPrice: bigint, quantity: bigint): bigint | undefined {
  return bounded(unitPrice * quantity);
}

function bounded(amount: bigint): bigint | undefined {
  return amount <= MAX_AMOUNT ? amount : undefined;
}
