/** What is done with a request: `reward` gives units back, `charge` takes them whether they fit or not. */
export type Operation = 'consume' | 'peek' | 'charge' | 'reward' | 'renew';
