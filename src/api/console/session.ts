import { signal } from '@preact/signals';
import * as oauth from 'oauth4webapi';

/** How people sign in here, as the service says. */
export interface Settings {
  readonly auth: 'off' | 'token' | 'oidc';
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  readonly version: string;
  readonly environment: string;
  /** Whether this process keeps traces that a link can lead to. */
  readonly traces: boolean;
  /** Where a store shows a trace, with `{traceId}` for its id; empty = nowhere. */
  readonly traceUrl: string;
}

export const settings = signal<Settings | undefined>(undefined);
/** In memory only: a reload forgets it. */
export const token = signal<string | undefined>(undefined);
/** Why signing in did not work, or is needed again. */
export const trouble = signal('');

const PENDING = 'jetledger.signing-in';

export const isSignedIn = (): boolean => settings.value?.auth === 'off' || token.value !== undefined;

function redirectUri(): string {
  return `${location.origin}/console`;
}

async function discovered({ issuer }: Settings): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const options = { [oauth.allowInsecureRequests]: url.protocol === 'http:' };
  return oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options));
}

/** Sends the browser to the issuer; what is needed on the way back waits in this tab, and is no token. */
export async function signIn(): Promise<void> {
  const known = settings.value;
  if (known === undefined) return;
  try {
    const server = await discovered(known);
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    sessionStorage.setItem(
      PENDING,
      JSON.stringify({ verifier, state, back: location.pathname + location.search }),
    );
    const to = new URL(server.authorization_endpoint ?? '');
    const query = {
      client_id: known.clientId,
      redirect_uri: redirectUri(),
      response_type: 'code',
      scope: known.scope,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(query)) to.searchParams.set(name, value);
    location.assign(to);
  } catch (error) {
    trouble.value = `The issuer cannot be asked: ${textOf(error)}`;
  }
}

/** Takes what the issuer has sent the browser back with. @returns where the user was before */
async function comeBack(known: Settings): Promise<string | undefined> {
  const here = new URL(location.href);
  const pending = sessionStorage.getItem(PENDING);
  if (pending === null || !(here.searchParams.has('code') || here.searchParams.has('error')))
    return undefined;
  sessionStorage.removeItem(PENDING);
  const { verifier, state, back } = JSON.parse(pending) as { verifier: string; state: string; back: string };
  const server = await discovered(known);
  const client = { client_id: known.clientId };
  const parameters = oauth.validateAuthResponse(server, client, here, state);
  const insecure = { [oauth.allowInsecureRequests]: here.protocol === 'http:' };
  const answer = await oauth.authorizationCodeGrantRequest(
    ...([server, client, oauth.None(), parameters, redirectUri(), verifier, insecure] as const),
  );
  const { access_token } = await oauth.processAuthorizationCodeResponse(server, client, answer);
  token.value = access_token;
  return back;
}

/** Asks how people sign in, and ends a sign-in that is under way. */
export async function begin(): Promise<void> {
  const answer = await fetch('/console/settings.json');
  const known = (await answer.json()) as Settings;
  settings.value = known;
  if (known.auth !== 'oidc') return;
  try {
    const back = await comeBack(known);
    if (back !== undefined) history.replaceState(null, '', back);
  } catch (error) {
    trouble.value = `Signing in did not work: ${textOf(error)}`;
    history.replaceState(null, '', '/console');
  }
}

export function signOut(why = ''): void {
  token.value = undefined;
  trouble.value = why;
}

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
