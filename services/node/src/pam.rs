//! Checks a password of the host's accounts with PAM, service `basalt`.
//!
//! The five functions of libpam that this needs are declared here. Calls block; the caller runs
//! them where that is allowed.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

const SUCCESS: c_int = 0;
const CONVERSATION_ERROR: c_int = 19;
const PROMPT_ECHO_OFF: c_int = 1;
const SERVICE: &CStr = c"basalt";

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

#[repr(C)]
struct Conversation {
    function: extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    data: *mut c_void,
}

// The runtime library itself, so that building needs no development package.
#[link(name = "libpam.so.0", kind = "dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut c_void,
    ) -> c_int;
    fn pam_authenticate(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_end(handle: *mut c_void, status: c_int) -> c_int;
}

/// Whether `password` is the one of the host's account `user`, and the account can be used.
pub fn authenticate(user: &str, password: &str) -> bool {
    let (Ok(user), Ok(password)) = (CString::new(user), CString::new(password)) else {
        return false;
    };
    let conversation = Conversation {
        function: answer,
        data: password.as_ptr() as *mut c_void,
    };
    let mut handle = ptr::null_mut();
    // SAFETY: all pointers are to values that live until pam_end below; `handle` is written
    // before it is used, and only used when pam_start succeeded.
    unsafe {
        if pam_start(SERVICE.as_ptr(), user.as_ptr(), &conversation, &mut handle) != SUCCESS {
            return false;
        }
        let mut status = pam_authenticate(handle, 0);
        if status == SUCCESS {
            status = pam_acct_mgmt(handle, 0);
        }
        pam_end(handle, status);
        status == SUCCESS
    }
}

/// Answers each prompt for a secret with the password, and everything else with nothing.
extern "C" fn answer(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let Ok(count) = usize::try_from(count) else {
        return CONVERSATION_ERROR;
    };
    // SAFETY: libpam gives `count` messages and takes over an array of as many responses, both
    // made by malloc; `data` is the password given to pam_start, which is still there.
    unsafe {
        let array = libc::calloc(count.max(1), size_of::<Response>()).cast::<Response>();
        if array.is_null() {
            return CONVERSATION_ERROR;
        }
        for n in 0..count {
            if (**messages.add(n)).style == PROMPT_ECHO_OFF {
                (*array.add(n)).text = libc::strdup(data.cast::<c_char>());
            }
        }
        *responses = array;
    }
    SUCCESS
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_account_that_does_not_exist_is_refused() {
        assert!(!super::authenticate("no-such-account", "x"));
        assert!(!super::authenticate("a\0b", "x"));
    }
}
