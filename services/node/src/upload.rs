//! The file of a multipart upload, read piece by piece, never held as a whole.

use basalt_api::bag::{self, Bag};
use basalt_api::{Error, Result};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::Value;

/// Longest field beside the file.
const FIELD_LIMIT: u64 = 64 * 1024;

/// The file of an upload. Fields of the form that came before it are parameters of the call.
pub struct Upload {
    file: Option<Field<'static>>,
    rest: Multipart<'static>,
}

impl Upload {
    /// Reads a form up to its file; puts the fields into the bag, and the file's own name as
    /// `filename` if no field says otherwise.
    pub(crate) async fn open(content_type: &str, body: Incoming, bag: &mut Bag) -> Result<Self> {
        let boundary = multer::parse_boundary(content_type)
            .map_err(|_| Error::new(400, "an upload needs content type multipart/form-data"))?;
        let limits = SizeLimit::new().per_field(u64::MAX);
        let constraints = Constraints::new().size_limit(limits);
        let stream = body.into_data_stream();
        let mut form = Multipart::with_constraints(stream, boundary, constraints);
        loop {
            let field = form.next_field().await.map_err(broken)?;
            let Some(field) = field else {
                return Err(Error::param("filename", "no file in the form"));
            };
            if let Some(name) = field.file_name() {
                if !bag.contains_key("filename") {
                    bag.insert("filename".into(), Value::String(name.to_owned()));
                }
                return Ok(Self {
                    file: Some(field),
                    rest: form,
                });
            }
            let name = field.name().unwrap_or_default().to_owned();
            bag::add(bag, name.clone(), Value::String(text(name, field).await?));
        }
    }

    /// The next piece of the file; none at its end. What comes after the file is refused.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(file) = &mut self.file
            && let Some(bytes) = file.chunk().await.map_err(broken)?
        {
            return Ok(Some(bytes));
        }
        // The form goes on to its next field only when the last one is given up.
        self.file = None;
        match self.rest.next_field().await.map_err(broken)? {
            None => Ok(None),
            Some(more) => {
                let name = more.name().unwrap_or("file").to_owned();
                Err(Error::param(name, "must stand before the file in the form"))
            }
        }
    }
}

async fn text(name: String, mut field: Field<'static>) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if (bytes.len() + chunk.len()) as u64 > FIELD_LIMIT {
            return Err(Error::param(name, "is too long"));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Error::param(name, "is not UTF-8"))
}

fn broken(error: multer::Error) -> Error {
    Error::new(400, format_args!("the upload is incomplete: {error}"))
}
