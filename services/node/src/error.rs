//! How the errors of the parts below become answers of the API.

use basalt_api::Error;

/// `?` cannot convert between two foreign types; `.api()` before it does.
pub trait IntoApi<T> {
    /// The result with an error of the API.
    fn api(self) -> Result<T, Error>;
}

impl<T> IntoApi<T> for Result<T, basalt_store::Error> {
    fn api(self) -> Result<T, Error> {
        self.map_err(Error::failed)
    }
}

impl<T> IntoApi<T> for Result<T, basalt_tasks::Error> {
    fn api(self) -> Result<T, Error> {
        self.map_err(Error::failed)
    }
}

impl<T> IntoApi<T> for Result<T, std::io::Error> {
    fn api(self) -> Result<T, Error> {
        self.map_err(Error::failed)
    }
}
