//! The machine's description: DMTF's Open Virtualization Format 1.1 (DSP0243) with VMware's extensions.

use std::fmt::Write as _;

const MIB: u64 = 1 << 20;

/// What a disk's format is called.
const STREAM_OPTIMIZED: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// The namespaces, by prefix; the first is that of elements without one.
const NAMESPACES: [(&str, &str); 7] = [
    ("xmlns", "http://schemas.dmtf.org/ovf/envelope/1"),
    ("xmlns:cim", "http://schemas.dmtf.org/wbem/wscim/1/common"),
    ("xmlns:ovf", "http://schemas.dmtf.org/ovf/envelope/1"),
    ("xmlns:rasd", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"),
    ("xmlns:vmw", "http://www.vmware.com/schema/ovf"),
    ("xmlns:vssd", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"),
    ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
];

/// A piece of virtual hardware.
struct Item {
    presence: Presence,
    /// Properties, by name: the schema wants them in this order.
    properties: &'static [(&'static str, &'static str)],
    /// VMware's settings of it.
    settings: &'static [(&'static str, &'static str)],
}

/// Whether an importer may leave it out.
enum Presence {
    Required,
    Optional,
}

use Presence::{Optional, Required};

/// The machine. Kinds of resources are numbers of CIM: 3 processor, 4 memory, 6 SCSI controller, 17 disk,
/// 10 network adapter, 24 graphics, 1 other.
const HARDWARE: [Item; 7] = [
    Item {
        presence: Required,
        properties: &[
            ("AllocationUnits", "hertz * 10^6"),
            ("Description", "Number of Virtual CPUs"),
            ("ElementName", "2 virtual CPU(s)"),
            ("InstanceID", "1"),
            ("ResourceType", "3"),
            ("VirtualQuantity", "2"),
        ],
        settings: &[],
    },
    Item {
        presence: Required,
        properties: &[
            ("AllocationUnits", "byte * 2^20"),
            ("Description", "Memory Size"),
            ("ElementName", "2048MB of memory"),
            ("InstanceID", "2"),
            ("ResourceType", "4"),
            ("VirtualQuantity", "2048"),
        ],
        settings: &[],
    },
    Item {
        presence: Required,
        properties: &[
            ("Address", "0"),
            ("Description", "SCSI Controller"),
            ("ElementName", "scsiController0"),
            ("InstanceID", "3"),
            ("ResourceSubType", "VirtualSCSI"),
            ("ResourceType", "6"),
        ],
        settings: &[],
    },
    Item {
        presence: Required,
        properties: &[
            ("AddressOnParent", "0"),
            ("ElementName", "disk0"),
            ("HostResource", "ovf:/disk/vmdisk1"),
            ("InstanceID", "4"),
            ("Parent", "3"),
            ("ResourceType", "17"),
        ],
        settings: &[],
    },
    Item {
        presence: Required,
        properties: &[
            ("AddressOnParent", "2"),
            ("AutomaticAllocation", "true"),
            ("Connection", "VM Network"),
            ("Description", "VmxNet3 ethernet adapter on VM Network"),
            ("ElementName", "ethernet0"),
            ("InstanceID", "5"),
            ("ResourceSubType", "VmxNet3"),
            ("ResourceType", "10"),
        ],
        settings: &[
            ("slotInfo.pciSlotNumber", "32"),
            ("wakeOnLanEnabled", "false"),
            ("connectable.allowGuestControl", "false"),
        ],
    },
    Item {
        presence: Optional,
        properties: &[
            ("AutomaticAllocation", "false"),
            ("ElementName", "video"),
            ("InstanceID", "6"),
            ("ResourceType", "24"),
        ],
        settings: &[],
    },
    Item {
        presence: Optional,
        properties: &[
            ("AutomaticAllocation", "false"),
            ("ElementName", "vmci"),
            ("InstanceID", "7"),
            ("ResourceSubType", "vmware.vmci"),
            ("ResourceType", "1"),
        ],
        settings: &[],
    },
];

/// VMware's settings of the machine.
const SETTINGS: [(&str, &str); 7] = [
    ("tools.syncTimeWithHost", "false"),
    ("tools.afterPowerOn", "true"),
    ("tools.afterResume", "true"),
    ("tools.beforeGuestShutdown", "true"),
    ("tools.beforeGuestStandby", "true"),
    ("tools.toolsUpgradePolicy", "manual"),
    ("powerOpInfo.suspendType", "soft"),
];

/// Lines of the machine's own configuration file. The disk's serial number is what Talos finds disks by.
const EXTRA_SETTINGS: [(&str, &str); 2] = [("nvram", "talos.nvram"), ("disk.EnableUUID", "true")];

/// The description of a machine with a disk of `capacity` bytes in a VMDK of `vmdk_len` bytes.
pub(super) fn descriptor(capacity: u64, vmdk_len: u64) -> String {
    let namespaces: Vec<_> = NAMESPACES.iter().map(|(name, uri)| format!("{name}=\"{uri}\"")).collect();
    let hardware: String = HARDWARE.iter().map(item).collect();
    let settings =
        settings("      ", "Config", &SETTINGS) + &settings("      ", "ExtraConfig", &EXTRA_SETTINGS);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope {namespaces}>
  <References>
    <File ovf:href="disk.vmdk" ovf:id="file1" ovf:size="{vmdk_len}"/>
  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="{STREAM_OPTIMIZED}"/>
  </DiskSection>
  <NetworkSection>
    <Info>The list of logical networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network that the machine is attached to</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="vm">
    <Info>A virtual machine</Info>
    <Name>talos</Name>
    <ProductSection ovf:required="false">
      <Info>Talos Linux</Info>
      <Property ovf:key="talos.config" ovf:type="string" ovf:userConfigurable="true" ovf:value="">
        <Label>Machine configuration</Label>
        <Description>The machine configuration of Talos</Description>
      </Property>
    </ProductSection>
    <OperatingSystemSection ovf:id="101" vmw:osType="other3xLinux64Guest">
      <Info>The kind of installed guest operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection ovf:transport="com.vmware.guestInfo">
      <Info>Virtual hardware requirements</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>talos</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-15</vssd:VirtualSystemType>
      </System>
{hardware}{settings}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#,
        namespaces = namespaces.join(" "),
        capacity = capacity.div_ceil(MIB),
    )
}

fn item(item: &Item) -> String {
    let mut out = String::new();
    out.push_str(match item.presence {
        Required => "      <Item>\n",
        Optional => "      <Item ovf:required=\"false\">\n",
    });
    for (name, value) in item.properties {
        let _ = writeln!(out, "        <rasd:{name}>{value}</rasd:{name}>");
    }
    out.push_str(&settings("        ", "Config", item.settings));
    out.push_str("      </Item>\n");
    out
}

fn settings(indent: &str, element: &str, settings: &[(&str, &str)]) -> String {
    let line = |(key, value): &(&str, &str)| {
        format!("{indent}<vmw:{element} ovf:required=\"false\" vmw:key=\"{key}\" vmw:value=\"{value}\"/>\n")
    };
    settings.iter().map(line).collect()
}
