/*
 * What a host has to carry out before it counts as one that runs guests by hardware: the steps in which hosts fail that
 * only pretend to. The firmware loads it as a boot sector; it goes on in 32 and then in 64 bits with pages, is interrupted
 * and comes back in each, and says so. Probed was a KVM that ran everything but the way back from an interrupt ("emulation
 * failure"), which no guest lives without.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, 9.8.5 (IA-32e mode) and 6.14 (its interrupts).
 */
    .set idt, 0x1000            /* 256 gates would fit; one is used. */
    .set gate, 0x30
    .set pages, 0x2000          /* Three tables of 4 KiB each. */
    .set code32, 0x08
    .set data, 0x10
    .set code64, 0x18
    .set base, 0x7c00

    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $base, %sp
    lgdtl gdtr
    movl %cr0, %eax
    orb $1, %al                 /* PE */
    movl %eax, %cr0
    ljmpl $code32, $protected

    .code32
protected:
    movw $data, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $(code32 << 16) + (back32 - _start + base), idt + gate * 8
    movl $0x8e00, idt + gate * 8 + 4
    lidtl idtr
    int $gate

    /* The first 2 MiB are where they are. */
    xorl %eax, %eax
    movl $pages + 0x1003, pages
    movl %eax, pages + 4
    movl $pages + 0x2003, pages + 0x1000
    movl %eax, pages + 0x1004
    movl $0x83, pages + 0x2000
    movl %eax, pages + 0x2004
    movl $pages, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orb $0x20, %al              /* PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx      /* EFER */
    rdmsr
    orb $1, %ah                 /* LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax       /* PG */
    movl %eax, %cr0
    ljmpl $code64, $long
back32:
    iretl

    .code64
long:
    movl $(code64 << 16) + (back64 - _start + base), idt + gate * 16
    movl $0x8e00, idt + gate * 16 + 4
    movq $0, idt + gate * 16 + 8
    lidt idtr
    int $gate
    movb $0x2a, %al
    outb %al, $0xf4             /* isa-debug-exit */
halt:
    hlt
    jmp halt
back64:
    iretq

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0x00af9a000000ffff
gdtr:
    .word gdtr - gdt - 1
    .long gdt
idtr:
    .word 0x3ff
    .long idt
    .long 0
    .org 510
    .word 0xaa55
