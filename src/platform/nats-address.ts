/** How to log in, where addresses say it. */
export interface AddressLogin {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

export interface NatsAddresses {
  /** Addresses without credentials, as the client library takes them: it ignores what stands before an `@`. */
  readonly servers: readonly string[];
  /** The credentials of each address that has some, decoded; `user:password@` or `token@`. */
  readonly logins: readonly AddressLogin[];
}

const ADDRESS = /^([a-z]+:\/\/)?(?:([^@]*)@)?([^@]*)$/i;

/** Takes apart what `nats.url` holds: addresses separated by commas. */
export function readAddresses(url: string): NatsAddresses {
  const parts = url.split(',').map((address) => ADDRESS.exec(address) ?? [address, '', '', address]);
  return {
    servers: parts.map(([, scheme = '', , host = '']) => scheme + host),
    logins: parts.flatMap(([, , credentials = '']) => (credentials === '' ? [] : [loginOf(credentials)])),
  };
}

/** Whether the addresses name at most one login: a process has one user, whichever server it is connected to. */
export function agreeOnLogin(url: string): boolean {
  const logins = readAddresses(url).logins.map((login) => JSON.stringify(login));
  return new Set(logins).size <= 1;
}

function loginOf(credentials: string): AddressLogin {
  const [user = '', ...rest] = credentials.split(':');
  if (rest.length === 0) return { token: decoded(user) };
  return { user: decoded(user), pass: decoded(rest.join(':')) };
}

/** A password may hold any character when it is written as `%40` and the like; one that is no such text is meant as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
