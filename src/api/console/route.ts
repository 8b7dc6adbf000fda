import { signal } from '@preact/signals';

/** Where the user is: the path behind /console/, and its query. */
export const route = signal(current());

function current(): { readonly path: readonly string[]; readonly query: URLSearchParams } {
  const path = location.pathname
    .replace(/^\/console\/?/, '')
    .split('/')
    .filter(Boolean)
    .map(decodeURIComponent);
  return { path, query: new URLSearchParams(location.search) };
}

/** Goes to a page of the console. @param replace keeps the way back as it was */
export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  route.value = current();
}

export function refreshRoute(): void {
  route.value = current();
}

addEventListener('popstate', refreshRoute);

/** Links within the console change the page without loading it again. */
document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (link === null || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || link.target !== '') return;
  if (link.origin !== location.origin || !link.pathname.startsWith('/console')) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
});
