//! What the processors of a virtual machine can do.

use crate::propstring::{refuse_rest, split, take};
use crate::words;
use serde::{Deserialize, Serialize};

words! {
    /// A set of processor features.
    pub enum CpuModel {
        /// All that the host's processors and KVM have.
        Host = "host",
        /// What every x86-64 processor has.
        V1 = "x86-64-v1",
        /// The second level of the x86-64 psABI.
        V2 = "x86-64-v2",
        /// The second level and AES.
        V2Aes = "x86-64-v2-AES",
        /// The third level and AES.
        V3 = "x86-64-v3",
        /// The fourth level and AES.
        V4 = "x86-64-v4",
    }
}

words! {
    /// A feature that a machine can have beside those of its model, or lack.
    pub enum CpuFlag {
        /// AES instructions.
        Aes = "aes",
        /// AMD: mitigation of speculative store bypass is not needed.
        AmdNoSsb = "amd-no-ssb",
        /// AMD: control of speculative store bypass.
        AmdSsbd = "amd-ssbd",
        /// AMD: barrier of indirect branch prediction.
        Ibpb = "ibpb",
        /// Processor buffers can be cleared.
        MdClear = "md-clear",
        /// Process context identifiers.
        Pcid = "pcid",
        /// Pages of 1 GiB.
        Pdpe1gb = "pdpe1gb",
        /// Control of indirect branch prediction.
        SpecCtrl = "spec-ctrl",
        /// Intel: control of speculative store bypass.
        Ssbd = "ssbd",
        /// Control of speculative store bypass, emulated.
        VirtSsbd = "virt-ssbd",
    }
}

impl CpuFlag {
    /// What it is, for who chooses.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Aes => "AES instructions",
            Self::AmdNoSsb => "AMD: no mitigation of speculative store bypass is needed",
            Self::AmdSsbd => "AMD: control of speculative store bypass",
            Self::Ibpb => "AMD: barrier of indirect branch prediction",
            Self::MdClear => "Clearing of processor buffers (Intel's MDS)",
            Self::Pcid => "Process context identifiers: page tables change at less cost",
            Self::Pdpe1gb => "Pages of 1 GiB",
            Self::SpecCtrl => "Control of indirect branch prediction (Spectre)",
            Self::Ssbd => "Intel: control of speculative store bypass",
            Self::VirtSsbd => "Control of speculative store bypass, emulated",
        }
    }
}

/// The processors of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuSpec {
    /// The features to begin with.
    pub model: CpuModel,
    /// Features that it has besides.
    #[serde(default)]
    pub add: Vec<CpuFlag>,
    /// Features that it lacks.
    #[serde(default)]
    pub remove: Vec<CpuFlag>,
    /// Not to tell the guest that it is one of KVM.
    #[serde(default)]
    pub hidden: bool,
    /// To show the guest the interface of Microsoft's hypervisor, which Windows knows to use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hyper_v: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Default for CpuSpec {
    fn default() -> Self {
        Self {
            model: CpuModel::Host,
            add: Vec::new(),
            remove: Vec::new(),
            hidden: false,
            hyper_v: false,
        }
    }
}

impl CpuSpec {
    /// Reads `[cputype=]TYPE[,flags=+FLAG;-FLAG…][,hidden=1]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = split(text, Some("cputype"))?;
        let model = take::<String>(&mut pairs, "cputype")?;
        let flags = take::<String>(&mut pairs, "flags")?;
        let hidden = take::<bool>(&mut pairs, "hidden")?;
        refuse_rest(&pairs, &["cputype", "flags", "hidden"])?;
        let mut spec = Self {
            model: model.as_deref().map_or(Ok(CpuModel::Host), named)?,
            hidden: hidden.unwrap_or(false),
            ..Self::default()
        };
        let flags = flags.unwrap_or_default();
        for flag in flags.split(';').filter(|flag| !flag.is_empty()) {
            let (list, name) = match (flag.strip_prefix('+'), flag.strip_prefix('-')) {
                (Some(name), _) => (&mut spec.add, name),
                (_, Some(name)) => (&mut spec.remove, name),
                _ => return Err(format!("flags: write +{flag} or -{flag}")),
            };
            let known = name.parse::<CpuFlag>();
            list.push(known.map_err(|text| format!("flags: {text}"))?);
        }
        if let Some(both) = spec.add.iter().find(|flag| spec.remove.contains(flag)) {
            return Err(format!("flags: '{both}' is wanted and unwanted"));
        }
        Ok(spec)
    }
}

/// A model by its name, or by the name that other machines have for it.
fn named(name: &str) -> Result<CpuModel, String> {
    match name {
        "max" => Ok(CpuModel::Host),
        "kvm64" | "qemu64" => Ok(CpuModel::V1),
        _ => name.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_flags_are_read() {
        let spec = CpuSpec::parse("x86-64-v2-AES,flags=+pcid;-aes,hidden=1").unwrap();
        assert_eq!(spec.model, CpuModel::V2Aes);
        assert_eq!(spec.add, [CpuFlag::Pcid]);
        assert_eq!(spec.remove, [CpuFlag::Aes]);
        assert!(spec.hidden);
        assert_eq!(CpuSpec::parse("cputype=host").unwrap(), CpuSpec::default());
        assert_eq!(CpuSpec::parse("kvm64").unwrap().model, CpuModel::V1);
    }

    #[test]
    fn what_is_unknown_is_named() {
        let wrong = |text: &str, name: &str| {
            let error = CpuSpec::parse(text).unwrap_err();
            assert!(error.contains(name), "{error}");
        };
        wrong("EPYC-Milan", "x86-64-v3");
        wrong("host,flags=aes", "+aes");
        wrong("host,flags=+warp", "warp");
        wrong("host,flags=+aes;-aes", "aes");
        wrong("host,phys-bits=40", "phys-bits");
    }

    #[test]
    fn windows_finds_hyper_v_whatever_its_processors_are() {
        let spec = |ostype: &str, cpu: &str| {
            let config = serde_json::json!({"ostype": ostype, "cpu": cpu});
            let config: crate::qemu::QemuConfig = serde_json::from_value(config).unwrap();
            config.cpu_spec().unwrap()
        };
        for kind in ["wvista", "w2k8", "win7", "win8", "win10", "win11"] {
            assert!(spec(kind, "x86-64-v3").hyper_v, "{kind}");
        }
        for kind in ["l26", "other", "solaris", "wxp", "w2k", "w2k3"] {
            assert!(!spec(kind, "host").hyper_v, "{kind}");
        }
        assert_eq!(spec("l26", "host"), CpuSpec::default());
    }
}
