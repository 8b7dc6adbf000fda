/** The variables of this process. The only place in JetLedger that reads them. */
export function readEnvironment(): Record<string, string | undefined> {
  return { ...process.env };
}
