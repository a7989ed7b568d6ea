/** The part of noVNC's class that we use; the package has no types of its own. */
declare module "@novnc/novnc" {
  export interface RfbOptions {
    credentials?: { password: string };
    shared?: boolean;
    wsProtocols?: string[];
  }

  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, url: string, options?: RfbOptions);
    background: string;
    focusOnClick: boolean;
    /** Fit the picture into its element. */
    scaleViewport: boolean;
    /** Ask the guest for a picture of the element's size. */
    resizeSession: boolean;
    showDotCursor: boolean;
    disconnect(): void;
    focus(): void;
    /** Sends a key by its keysym and, if known, its code; both directions when `down` is left out. */
    sendKey(keysym: number, code: string | null, down?: boolean): void;
  }
}
