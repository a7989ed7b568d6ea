/** Sending a file into a storage, with progress. XMLHttpRequest, because fetch reports no upload progress. */
import { csrfHeader, dataOf } from "./client";
import { BASE, fillPath } from "./encode";
import { ApiError, errorFrom } from "./error";
import type { Upid } from "./types";

export interface Upload {
  node: string;
  storage: string;
  content: string;
  file: File;
  filename: string;
  onProgress: (sent: number, total: number) => void;
  signal?: AbortSignal;
}

/** Resolves with the task that moves the received file into place. */
export function upload(job: Upload): Promise<Upid> {
  const { path } = fillPath("/nodes/{node}/storage/{storage}/upload", {
    node: job.node,
    storage: job.storage,
  });
  const form = new FormData();
  form.append("content", job.content);
  form.append("filename", job.file, job.filename);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}${path}`);
    for (const [name, value] of Object.entries(csrfHeader())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => job.onProgress(event.loaded, event.total || job.file.size);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve(String(dataOf(request.responseText)));
      else reject(errorFrom(request.status, request.statusText, request.responseText));
    };
    request.onerror = () => reject(new ApiError(0, "The connection broke during the upload."));
    request.onabort = () => reject(new ApiError(0, "The upload was cancelled."));
    job.signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
