/** Hides user, password or token of server addresses. Where a list holds several, rather too much is hidden than too little. */
export function maskUrl(url: string): string {
  return url.replace(/^([a-z]+:\/\/)?.*@/is, (_all, scheme?: string) => `${scheme ?? ''}***@`);
}
