/** Where a server program came from. */
export type ServerSource = 'config' | 'path' | 'cache' | 'debian' | 'release';

/** One way to fetch a server program. */
export interface Fetcher {
  readonly source: ServerSource;
  /** How it is called in messages. */
  readonly title: string;
  /**
   * Fetches and verifies the program and answers its path.
   *
   * @param scratch    an empty folder that is removed afterwards
   * @param onProgress gets one line at a time, as often as there is news
   * @throws `Error` with the reason, one line
   */
  fetch(scratch: string, onProgress: (line: string) => void): Promise<string>;
}
