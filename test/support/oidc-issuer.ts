import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

/** An issuer of OpenID Connect that lets everybody in: authorization code with PKCE, public clients. */
export interface OidcIssuer extends AsyncDisposable {
  readonly url: string;
  /** Sign-ins that came to a token. */
  readonly granted: () => number;
  /** A token as it gives out. */
  tokenFor(scope: string): Promise<string>;
}

export const CLIENT = 'console';
export const AUDIENCE = 'jetledger';

/** Listens on a free port of this machine. */
export async function startOidcIssuer(): Promise<OidcIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  const challenges = new Map<string, string>();
  let granted = 0;
  let url = '';

  const tokenFor = (scope: string): Promise<string> =>
    new SignJWT({ scope })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'JWT' })
      .setIssuer(url)
      .setAudience(AUDIENCE)
      .setSubject('operator')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
  const idToken = (): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(url)
      .setAudience(CLIENT)
      .setSubject('operator')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);

  /** The token for a code, where the verifier is that of its challenge; undefined otherwise. */
  const exchange = async (form: URLSearchParams): Promise<object | undefined> => {
    const code = form.get('code') ?? '';
    const digest = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (challenges.get(code) !== digest || form.get('client_id') !== CLIENT) return undefined;
    challenges.delete(code);
    granted++;
    const tokens = { access_token: await tokenFor('openid admin'), id_token: await idToken() };
    return { ...tokens, token_type: 'Bearer', expires_in: 3_600 };
  };

  const server = createServer(async (request, response) => {
    const asked = new URL(request.url ?? '/', url);
    response.setHeader('access-control-allow-origin', '*');
    const json = (body: unknown, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (asked.pathname === '/.well-known/openid-configuration') {
      const endpoints = { authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token` };
      return json({
        issuer: url,
        ...endpoints,
        jwks_uri: `${url}/jwks`,
        id_token_signing_alg_values_supported: ['ES256'],
      });
    }
    if (asked.pathname === '/jwks') return json({ keys: [jwk] });
    if (asked.pathname === '/authorize') {
      const code = randomUUID();
      challenges.set(code, asked.searchParams.get('code_challenge') ?? '');
      const back = new URL(asked.searchParams.get('redirect_uri') ?? '');
      back.searchParams.set('code', code);
      back.searchParams.set('state', asked.searchParams.get('state') ?? '');
      response.writeHead(302, { location: back.href }).end();
      return;
    }
    if (asked.pathname !== '/token') return json({}, 404);
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const tokens = await exchange(new URLSearchParams(body));
    json(tokens ?? { error: 'invalid_grant' }, tokens === undefined ? 400 : 200);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    tokenFor,
    granted: () => granted,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
