import { computed, effect } from '@preact/signals';
import { type ComponentChild, render } from 'preact';
import { useState } from 'preact/hooks';
import { away, follow, reactions, situation, stuck, views } from './api.ts';
import { count, inUtc, toggleUtc } from './format.ts';
import { Actions } from './pages/actions.tsx';
import { Aggregate } from './pages/aggregate.tsx';
import { Backups } from './pages/backups.tsx';
import { Configuration } from './pages/configuration.tsx';
import { Health } from './pages/health.tsx';
import { LogPage } from './pages/log.tsx';
import { Orders } from './pages/orders.tsx';
import { Outgoing } from './pages/outgoing.tsx';
import { Reactions } from './pages/reactions.tsx';
import { Stuck } from './pages/stuck.tsx';
import { Timers } from './pages/timers.tsx';
import { Traces } from './pages/traces.tsx';
import { Views } from './pages/views.tsx';
import { Ask, Badge, Empty, notice } from './parts.tsx';
import { refreshRoute, route } from './route.ts';
import { begin, isSignedIn, settings, signIn, signOut, token, trouble } from './session.ts';
import { troubles } from './troubles.ts';

interface Page {
  readonly name: string;
  readonly title: string;
  readonly page: () => ComponentChild;
  /** What of the live stream only this page shows. */
  readonly also?: string;
}

const PAGES = [
  { name: '', title: 'Overview', page: Overview },
  { name: 'stuck', title: 'Stuck', page: Stuck },
  { name: 'aggregate', title: 'One aggregate', page: Aggregate },
  { name: 'health', title: 'Health', page: Health },
  { name: 'reactions', title: 'Reactions', page: Reactions },
  { name: 'views', title: 'Views', page: Views },
  { name: 'timers', title: 'Timers', page: Timers },
  { name: 'outgoing', title: 'Outgoing', page: Outgoing },
  { name: 'actions', title: 'Actions', page: Actions },
  { name: 'backups', title: 'Backups', page: Backups },
  { name: 'configuration', title: 'Configuration', page: Configuration },
  { name: 'orders', title: 'Orders', page: Orders, also: 'orders' },
  { name: 'log', title: 'Log', page: LogPage },
  { name: 'traces', title: 'Traces', page: Traces, also: 'traces' },
] as const satisfies readonly Page[];

const here = computed(() => PAGES.find(({ name }) => name === route.value.path[0]) ?? PAGES[0]);
const also = computed(() => ('also' in here.value ? here.value.also : undefined));

/** A healthy system is one calm screen; each trouble takes a line. */
function Overview() {
  const found = troubles();
  const now = situation.value;
  if (now === undefined || stuck.value === undefined) return <Empty>Looking …</Empty>;
  const handled = (reactions.value ?? []).filter(({ lag }) => lag === 0).length;
  const sound = (views.value ?? []).filter(({ state, lag }) => state === 'sound' && lag === 0).length;
  return (
    <>
      <h1 class={found.length === 0 ? 'calm' : ''}>
        {found.length === 0 ? 'Everything is well.' : `${count(found.length)} to look at`}
      </h1>
      <ul class="troubles">
        {found.map(({ page, tone, text }) => (
          <li key={text}>
            <a href={`/console/${page}`}>
              <Badge tone={tone}>{tone === 'bad' ? 'act' : 'look'}</Badge> {text}
            </a>
          </li>
        ))}
      </ul>
      <p class="faint">
        {count(now.log.head)} positions in the log · {count(handled)} of {count(reactions.value?.length ?? 0)}{' '}
        reactions up to date · {count(sound)} of {count(views.value?.length ?? 0)} views up to date ·{' '}
        {count(now.instances.length)} {now.instances.length === 1 ? 'process' : 'processes'} ·{' '}
        {count(now.servers.length)} {now.servers.length === 1 ? 'server' : 'servers'}
      </p>
    </>
  );
}

function Nav() {
  const found = troubles();
  return (
    <nav aria-label="Console">
      <a class="brand" href="/console">
        JetLedger
      </a>
      <ul>
        {PAGES.map(({ name, title }) => {
          const bad = found.filter(({ page }) => page === name).length;
          return (
            <li key={name}>
              <a
                href={`/console/${name}`.replace(/\/$/, '')}
                aria-current={name === here.value.name ? 'page' : undefined}
              >
                {title}
                {bad > 0 && (
                  <span class="dot" title={`${bad} to look at`}>
                    {bad}
                  </span>
                )}
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function Top() {
  const known = settings.value;
  return (
    <header>
      <span>
        {away.value === '' ? <Badge tone="good">live</Badge> : <Badge tone="warn">{away.value}</Badge>}{' '}
        <span class="faint">
          {known?.environment} · {known?.version}
        </span>
      </span>
      <span class="actions">
        <button type="button" aria-pressed={inUtc.value} onClick={toggleUtc}>
          Times in {inUtc.value ? 'UTC' : 'local time'}
        </button>
        {token.value !== undefined && (
          <button type="button" onClick={() => signOut()}>
            Sign out
          </button>
        )}
      </span>
    </header>
  );
}

function SignIn() {
  const [pasted, setPasted] = useState('');
  const paste = (event: Event): void => {
    event.preventDefault();
    trouble.value = '';
    token.value = pasted.trim().replace(/^Bearer /i, '');
  };
  return (
    <main class="sign-in">
      <h1>JetLedger console</h1>
      {trouble.value !== '' && <p role="alert">{trouble.value}</p>}
      {settings.value?.auth === 'oidc' ? (
        <button type="button" class="primary" onClick={signIn}>
          Sign in
        </button>
      ) : (
        <form onSubmit={paste}>
          <label>
            <span class="label">Access token with the scope “admin”</span>
            <input
              type="password"
              autocomplete="off"
              value={pasted}
              required
              onInput={(event) => setPasted(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary">
            Go on
          </button>
        </form>
      )}
      <p class="faint">It is kept in memory only: a reload asks again.</p>
    </main>
  );
}

function App() {
  if (settings.value === undefined) return <main>{trouble.value || 'Looking …'}</main>;
  if (!isSignedIn()) return <SignIn />;
  const page = here.value;
  document.title = `${page.title} · JetLedger console`;
  return (
    <>
      <a class="skip" href="#main">
        To the page
      </a>
      <Nav />
      <div class="body">
        <Top />
        <main id="main" tabIndex={-1}>
          <page.page />
        </main>
      </div>
      <p class={`notice ${notice.value?.tone ?? ''}`} role="status">
        {notice.value?.text}
      </p>
      <Ask />
    </>
  );
}

const root = document.getElementById('app');
if (root !== null) render(<App />, root);

let following: AbortController | undefined;
effect(() => {
  following?.abort();
  following = undefined;
  if (!isSignedIn()) return;
  following = new AbortController();
  void follow(following.signal, also.value);
});

effect(() => {
  if (notice.value === undefined) return;
  const shown = notice.value;
  setTimeout(() => {
    if (notice.value === shown) notice.value = undefined;
  }, 8_000);
});

begin().then(refreshRoute, (error: unknown) => {
  trouble.value = `The service cannot be reached: ${String(error)}`;
});
